"""Callbacks of a training run: held-out loss, a metric of samples, the best average, error by noise level, pictures, trackers.

    fit(denoiser, sde, data, settings, folder="runs/moons", callbacks=[
        HeldOut(Every(500), sde, objective, held_out),
        SampleMetric(Every(1000), model, held_out, "frechet"),      # a DiffusionModel
        KeepBest(Every(500), "runs/moons", "held_out_loss"),
        Levels(Doubling(100), "runs/moons", sde, objective, data, held_out),
        Pictures(Doubling(100), "runs/moons", model, held_out),     # a DiffusionModel
        TensorBoard("runs/moons"),                                  # last: it shows what the others have found; so do
        Wandb("runs/moons"),                                        # the services of callbacks.wandb, .mlflow and .trackio
    ])

Each is a file with one class; `training.callbacks` says what a callback is and what it is given.
"""

from sde_diffusion.callbacks.held_out import HeldOut
from sde_diffusion.callbacks.keep_best import KeepBest
from sde_diffusion.callbacks.levels import Levels
from sde_diffusion.callbacks.pictures import Pictures
from sde_diffusion.callbacks.sample_metric import SampleMetric
from sde_diffusion.callbacks.tensorboard import TensorBoard
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Doubling, Every, Trigger

__all__ = [
    "Callback",
    "CallbackContext",
    "Doubling",
    "Every",
    "HeldOut",
    "KeepBest",
    "Levels",
    "Pictures",
    "SampleMetric",
    "TensorBoard",
    "Trigger",
]
