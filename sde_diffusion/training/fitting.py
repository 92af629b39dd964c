"""Training to the end: a progress bar around the loop, with callbacks between its reports."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, TypeVar

from tqdm import tqdm

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.ends import Ends
from sde_diffusion.io.terminal import TenthLines, on_terminal, tqdm_options
from sde_diffusion.sde.base import SDE, LinearSDE
from sde_diffusion.sde.bridge import Bridge
from sde_diffusion.training.callbacks import Callback, CallbackList, previous_report
from sde_diffusion.training.devices import device_of
from sde_diffusion.training.distributed.parallel import InShares, on_meta
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.metrics import Progress
from sde_diffusion.training.settings import TrainSettings, name_here, steps_of_epochs
from sde_diffusion.training.signals import Terminated, what_was_saved
from sde_diffusion.training.trainer import check_model, train

HELD_OUT = "held_out_loss"


class Bar:
    """The progress of a run on the standard error: a bar on a terminal, otherwise a line for each tenth.

    Silent where `speaks` is False. A resumed run begins where it was, so that the time left is that of the steps to come.
    """

    def __init__(self, settings: TrainSettings, speaks: bool = True) -> None:
        self.settings, self.held_out, self.begun = settings, "", False
        self.bar = tqdm(total=settings.steps, unit="step", disable=not (speaks and on_terminal()), **tqdm_options())  # pyright: ignore
        self.lines = TenthLines(settings.steps, "") if speaks and not on_terminal() else None

    def show(self, progress: Progress, numbers: Mapping[str, float]) -> None:
        """A report, and what callbacks found with it."""
        if not self.begun:
            self._begin(previous_report(progress.step, self.settings.log_every))
        if HELD_OUT in numbers:
            self.held_out = f", held out={numbers[HELD_OUT]:.4g}"
        pace = tqdm.format_sizeof(progress.images_per_second)
        note = f"loss={progress.loss:.4g}{self.held_out}, {pace} samples/s"
        if self.lines is not None:
            self.lines.update(progress.step, note)
        self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(progress.step - self.bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.close()

    def _begin(self, step: int) -> None:
        self.begun = True
        self.bar.initial = self.bar.n = self.bar.last_print_n = step
        if self.lines is not None:
            self.lines.begin(step)


_SETTINGS = TrainSettings()

Model = TypeVar("Model", bound=Denoiser | Ends)


def fit(
    denoiser: Model,
    sde: LinearSDE | Bridge,
    data: Any,
    settings: TrainSettings = _SETTINGS,
    *,
    callbacks: Sequence[Callback] = (),
    **options,
) -> Model:
    """Run `train` to its end behind a progress bar and return the averaged model, a copy, in eval mode.

    The argument is trained in place: it keeps the last weights, which the learning rate's fall to zero leaves nearly as
    good as the average, and is left in eval mode too. One on the meta device (`first_weights.deferred`) is not filled, and what
    is returned then cannot be called: load the run's folder. `callbacks` are called between the reports, in their order (see
    `callbacks`): what they find changes nothing, and their errors are warnings. `options` are those of `train`.

    Off a terminal a line for each tenth of the steps goes to the standard error. An interrupt says up to which step the run
    is saved. Where steps were skipped, because their loss or gradient was not finite, a warning at the end sums them up.

    Raises TypeError for an option that `train` does not have, with the name that is meant, and all that `train` raises.
    """
    return fit_and_report(denoiser, sde, data, settings, callbacks=callbacks, **options)[0]


def fit_and_report(
    denoiser: Model,
    sde: LinearSDE | Bridge,
    data: Any,
    settings: TrainSettings,
    *,
    callbacks: Sequence[Callback],
    **options,
) -> tuple[Model, Progress | None]:
    """What `fit` gives, and the last report; None for a run that was finished already."""
    _check_options(options)
    check_model(denoiser, sde)
    _check_objective(sde, options.get("objective"))
    ema = options.pop("ema", None) or EMA(denoiser, settings.ema_decay)
    device, folder, world = device_of(options.get("device", "auto")), options.get("folder"), options.get("world")
    world = world or ProcessGroup()
    called = CallbackList(callbacks, ema, settings, device, folder, world)
    reports, last = train(denoiser, sde, data, settings, ema=ema, **options), None
    try:
        with closing(called), closing(reports), closing(Bar(settings, world.is_main)) as bar:  # pyright: ignore
            for last in reports:
                bar.show(last, called.on_report(last))
    except (KeyboardInterrupt, Terminated) as stop:
        stop.args = (what_was_saved(folder),)
        raise
    denoiser.eval()
    if last is not None and world.is_main and (words := skipped_steps(last.skipped, last.step)):
        warnings.warn(words, stacklevel=3)
    whole = not on_meta(ema.model)
    return ema.model if whole else InShares("load its run's folder"), last  # pyright: ignore[reportReturnType]


def skipped_steps(skipped: int, steps: int) -> str:
    """One sentence on the steps of a run that were skipped; nothing where none was."""
    if not skipped:
        return ""
    start = f"{skipped} of {steps} training steps were skipped, because their loss or its gradient was not finite"
    if skipped >= steps:
        return f"{start}: the model is untrained; lower the learning rate or the scale of the data"
    return f"{start}; such a step changes nothing"


def _check_objective(sde: SDE | Bridge, objective: Any) -> None:
    """Raises TypeError for the default loss on a process that it is not defined for."""
    if objective is None and isinstance(sde, SDE) and not isinstance(sde, LinearSDE):
        raise TypeError(
            f"the default loss needs a process with closed-form kernels, got {type(sde).__name__}; "
            "write objective=LocalDenoising(...)"
        )


def _check_options(options: Mapping[str, Any]) -> None:
    known = inspect.signature(train).parameters
    for name in options:
        if name in known:
            continue
        field = name_here(name)
        if field is not None:
            hint = f"that is {field!r} of the settings: fit(..., TrainSettings({field}=...)){steps_of_epochs(name)}"
        elif name in ("observers", "watch", "callback"):
            hint = "write callbacks=[...]"
        else:
            near = difflib.get_close_matches(name, [*known, "callbacks"], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(list(known)[4:])}"
        raise TypeError(f"fit has no option {name!r}; {hint}")
