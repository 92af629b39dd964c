"""Training: a loop that is a generator, an average of the weights, and checkpoints that resume bit for bit.

    for progress in train(denoiser, sde, data, TrainSettings(steps=5000), folder="runs/moons"):
        ...                                          # stop whenever you like; the same call goes on exactly there
    model = fit(denoiser, sde, data)                 # the same behind a progress bar

The names are loaded when they are first asked for: settings and run folders need no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sde_diffusion.training.checkpoint import Checkpoint, CheckpointError, latest, load, load_average, save
    from sde_diffusion.training.compute import ComputeSettings
    from sde_diffusion.training.ema import EMA
    from sde_diffusion.training.fitting import fit
    from sde_diffusion.training.loop import train
    from sde_diffusion.training.moments import Doubling, Every
    from sde_diffusion.training.observing import Look, Observer
    from sde_diffusion.training.post_hoc import reconstruct
    from sde_diffusion.training.progress import Progress
    from sde_diffusion.training.run_folder import RunFolder
    from sde_diffusion.training.settings import TrainSettings
    from sde_diffusion.training.world import World, joined

__all__ = [
    "EMA",
    "Checkpoint",
    "CheckpointError",
    "ComputeSettings",
    "Doubling",
    "Every",
    "Look",
    "Observer",
    "Progress",
    "RunFolder",
    "TrainSettings",
    "World",
    "fit",
    "joined",
    "latest",
    "load",
    "load_average",
    "reconstruct",
    "save",
    "train",
]

_HOMES = {
    "checkpoint": "Checkpoint CheckpointError latest load load_average save",
    "compute": "ComputeSettings",
    "ema": "EMA",
    "fitting": "fit",
    "loop": "train",
    "post_hoc": "reconstruct",
    "moments": "Doubling Every",
    "observing": "Look Observer",
    "progress": "Progress",
    "run_folder": "RunFolder",
    "settings": "TrainSettings",
    "world": "World joined",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
