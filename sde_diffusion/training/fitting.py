"""Training to the end: a progress bar around the loop, with callbacks between its reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from torch import Tensor
from tqdm import tqdm

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.io.terminal import tqdm_options
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.callbacks import Callback, CallbackList, previous_report
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.loop import train
from sde_diffusion.training.metrics import Progress
from sde_diffusion.training.settings import TrainSettings

HELD_OUT = "held_out_loss"


class Bar:
    """A bar over the steps of a run, on the standard error; silent off a terminal, and where `speaks` is False.

    A resumed run begins where it was, so that the time left is that of the steps of today.
    """

    def __init__(self, settings: TrainSettings, speaks: bool = True) -> None:
        self.settings, self.held_out = settings, ""
        shape = {"disable": None if speaks else True, **tqdm_options()}
        self.bar = tqdm(total=settings.steps, unit="step", **shape)  # pyright: ignore
        self.begun = False

    def show(self, progress: Progress, numbers: Mapping[str, float]) -> None:
        """A report, and what observers found with it."""
        if not self.begun:
            self._begin(previous_report(progress.step, self.settings.log_every))
        if HELD_OUT in numbers:
            self.held_out = f", held out={numbers[HELD_OUT]:.4g}"
        pace = tqdm.format_sizeof(progress.images_per_second)
        self.bar.set_postfix_str(f"loss={progress.loss:.4g}{self.held_out}, {pace} images/s", refresh=False)
        self.bar.update(progress.step - self.bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.close()

    def _begin(self, step: int) -> None:
        self.begun = True
        self.bar.initial = self.bar.n = self.bar.last_print_n = step


_USUAL = TrainSettings()


def fit(
    denoiser: Denoiser,
    sde: LinearSDE,
    data: Tensor,
    settings: TrainSettings = _USUAL,
    *,
    observers: Sequence[Callback] = (),
    **options,
) -> Denoiser:
    """Run `train` to its end behind a progress bar and return the averaged model, a copy, in eval mode.

    The argument is trained in place: it keeps the last weights, which the learning rate's fall to zero leaves nearly as
    good as the average, and is left in eval mode too. `observers` look between the reports, in their order (see
    `observing`): what they find changes nothing, and their errors are warnings. `options` are those of `train`; the bar
    is silent off a terminal.
    """
    ema, world = options.pop("ema", None) or EMA(denoiser, settings.ema_decay), options.get("world", ProcessGroup())
    watch = CallbackList(observers, ema, settings, options.get("device", "cpu"), options.get("folder"), world)
    reports = train(denoiser, sde, data, settings, ema=ema, **options)
    with closing(watch), closing(reports), closing(Bar(settings, world.is_main)) as bar:  # pyright: ignore
        for progress in reports:
            bar.show(progress, watch.show(progress))
    denoiser.eval()
    return ema.model  # pyright: ignore[reportReturnType]
