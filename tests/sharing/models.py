"""Small models to share."""

from __future__ import annotations

import torch
from torch import nn

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import DiT, TimeMLP, UNet
from sde_diffusion.parameterization import (
    Data,
    EDMPreconditioning,
    Noise,
    Velocity,
)
from sde_diffusion.sde import DDPM, VP, Rectified
from sde_diffusion.sde import EDM as EDMProcess

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
