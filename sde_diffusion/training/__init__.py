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
    from sde_diffusion.training.callbacks import Callback, CallbackContext
    from sde_diffusion.training.checkpoints.checkpoint import (
        Checkpoint,
        CheckpointError,
        latest,
        load,
        load_average,
        save,
    )
    from sde_diffusion.training.distributed.process_group import ProcessGroup, join_process_group
    from sde_diffusion.training.ema.exponential import EMA
    from sde_diffusion.training.ema.post_hoc import reconstruct
    from sde_diffusion.training.fitting import fit
    from sde_diffusion.training.metrics import Progress
    from sde_diffusion.training.run_folder import RunFolder
    from sde_diffusion.training.settings import ComputeSettings, TrainSettings
    from sde_diffusion.training.trainer import train
    from sde_diffusion.training.triggers import Doubling, Every

__all__ = [
    "EMA",
    "Callback",
    "CallbackContext",
    "Checkpoint",
    "CheckpointError",
    "ComputeSettings",
    "Doubling",
    "Every",
    "ProcessGroup",
    "Progress",
    "RunFolder",
    "TrainSettings",
    "fit",
    "join_process_group",
    "latest",
    "load",
    "load_average",
    "reconstruct",
    "save",
    "train",
]

_HOMES = {
    "checkpoints.checkpoint": "Checkpoint CheckpointError latest load load_average save",
    "settings": "ComputeSettings TrainSettings",
    "ema.exponential": "EMA",
    "fitting": "fit",
    "trainer": "train",
    "ema.post_hoc": "reconstruct",
    "triggers": "Doubling Every",
    "callbacks": "Callback CallbackContext",
    "metrics": "Progress",
    "run_folder": "RunFolder",
    "distributed.process_group": "ProcessGroup join_process_group",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
