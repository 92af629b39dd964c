"""Callbacks of a training run: held-out loss, error by noise level, pictures of samples, TensorBoard.

    fit(denoiser, sde, data, settings, folder="runs/moons", callbacks=[
        HeldOut(Every(500), sde, objective, held_out),
        Levels(Doubling(100), "runs/moons", sde, objective, data, held_out),
        Pictures(Doubling(100), "runs/moons", model, held_out),     # a DiffusionModel
        TensorBoard("runs/moons"),                                  # last: it shows what the others have found
    ])

Each is a file with one class; `training.callbacks` says what a callback is and what it is given.
"""

from sde_diffusion.callbacks.held_out import HeldOut
from sde_diffusion.callbacks.levels import Levels
from sde_diffusion.callbacks.pictures import Pictures
from sde_diffusion.callbacks.tensorboard import TensorBoard
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Doubling, Every, Trigger

__all__ = [
    "Callback",
    "CallbackContext",
    "Doubling",
    "Every",
    "HeldOut",
    "Levels",
    "Pictures",
    "TensorBoard",
    "Trigger",
]
