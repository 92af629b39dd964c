"""Training to the end, behind a progress bar."""

from __future__ import annotations

from contextlib import closing

from torch import Tensor
from tqdm import tqdm

from sde_diffusion.denoiser import Denoiser
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.ema import EMA
from sde_diffusion.training.loop import train
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.world import World

_USUAL = TrainSettings()


def fit(denoiser: Denoiser, sde: LinearSDE, data: Tensor, settings: TrainSettings = _USUAL, **options) -> Denoiser:
    """Run `train` to its end behind a progress bar and return the averaged model, a copy, in eval mode.

    The argument is trained in place: it keeps the last weights, which the learning rate's fall to zero leaves nearly as
    good as the average, and is left in eval mode too. `options` are those of `train`; the bar is silent off a terminal.
    """
    ema = options.pop("ema", None) or EMA(denoiser, settings.ema_decay)
    reports = train(denoiser, sde, data, settings, ema=ema, **options)
    silent = None if options.get("world", World()).leads else True
    with closing(reports), tqdm(total=settings.steps, unit="step", disable=silent) as bar:  # pyright: ignore
        for progress in reports:
            bar.set_postfix(loss=f"{progress.loss:.4g}", refresh=False)
            bar.update(progress.step - bar.n)
    denoiser.eval()
    return ema.model  # pyright: ignore[reportReturnType]
