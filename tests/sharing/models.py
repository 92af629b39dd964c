"""Small models to share, and how the tests save and load them."""

from __future__ import annotations

import torch
from torch import nn

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.model import DiffusionModel
from sde_diffusion.networks import DiT, TimeMLP, UNet
from sde_diffusion.parameterization import (
    Data,
    EDMPreconditioning,
    Noise,
    Velocity,
)
from sde_diffusion.sde import DDPM, VP, Rectified
from sde_diffusion.sde import EDM as EDMProcess
from sde_diffusion.sharing import read_diffusers, read_pretrained

EVENT = (2, 4, 4)


def moved(module: nn.Module) -> nn.Module:
    """Every weight moved off its start."""
    draw = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.2, generator=draw)
    return module


MODELS = {
    "mlp": lambda: (
        Preconditioned(moved(TimeMLP(EVENT, width=16, depth=1)), EDMPreconditioning(0.7)),
        VP(beta_max=12.0),
    ),
    "unet": lambda: (
        Preconditioned(moved(UNet.fitting(EVENT, width=8, attention=(1,), classes=3)), Velocity(1.5)),
        DDPM((0.1, 0.2, 0.3)),
    ),
    "dit": lambda: (Preconditioned(moved(DiT(EVENT, width=24, depth=2, heads=2)), Data()), Rectified()),
    "double": lambda: (Preconditioned(moved(TimeMLP(EVENT, width=8, depth=1)).double(), Noise()), EDMProcess()),
}


def save_pretrained(folder, denoiser, sde, event_shape, card=None, **fields):
    """The path of a folder of `DiffusionModel.save`."""
    classes = getattr(getattr(denoiser, "backbone", None), "arguments", {}).get("classes")
    names = None if classes is None else tuple(map(str, range(classes)))
    return DiffusionModel(sde, denoiser, tuple(event_shape), class_names=names, **fields).save(folder, card)


def from_pretrained(folder, revision=None, **options):
    """The model of such a folder."""
    return DiffusionModel(**read_pretrained(folder, revision, **options))


def from_diffusers(folder, **options):
    """The model of a pipeline's folder."""
    return DiffusionModel(**read_diffusers(folder, **options))
