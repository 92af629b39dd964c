"""Training to the end, behind a progress bar, under the eyes of observers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from torch import Tensor

from sde_diffusion.denoiser import Denoiser
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.bar import Bar
from sde_diffusion.training.ema import EMA
from sde_diffusion.training.loop import train
from sde_diffusion.training.observing import Observer, Watch
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.world import World

_USUAL = TrainSettings()


def fit(
    denoiser: Denoiser,
    sde: LinearSDE,
    data: Tensor,
    settings: TrainSettings = _USUAL,
    *,
    observers: Sequence[Observer] = (),
    **options,
) -> Denoiser:
    """Run `train` to its end behind a progress bar and return the averaged model, a copy, in eval mode.

    The argument is trained in place: it keeps the last weights, which the learning rate's fall to zero leaves nearly as
    good as the average, and is left in eval mode too. `observers` look between the reports, in their order (see
    `observing`): what they find changes nothing, and their errors are warnings. `options` are those of `train`; the bar
    is silent off a terminal.
    """
    ema, world = options.pop("ema", None) or EMA(denoiser, settings.ema_decay), options.get("world", World())
    watch = Watch(observers, ema, settings, options.get("device", "cpu"), options.get("folder"), world)
    reports = train(denoiser, sde, data, settings, ema=ema, **options)
    with closing(watch), closing(reports), closing(Bar(settings, world.leads)) as bar:  # pyright: ignore
        for progress in reports:
            bar.show(progress, watch.show(progress))
    denoiser.eval()
    return ema.model  # pyright: ignore[reportReturnType]
