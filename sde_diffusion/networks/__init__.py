"""Backbones: networks that know tensors only. A new one is a new file with a concrete `Backbone`."""

from __future__ import annotations

from sde_diffusion.networks.attention import twice_differentiable
from sde_diffusion.networks.base import Backbone
from sde_diffusion.networks.cost import Cost, cost
from sde_diffusion.networks.dit import DiT
from sde_diffusion.networks.mlp import TimeMLP
from sde_diffusion.networks.unet import UNet
from sde_diffusion.plugins import find, implementations

__all__ = ["Backbone", "Cost", "DiT", "TimeMLP", "UNet", "by_name", "cost", "names", "twice_differentiable"]


def names() -> list[str]:
    """The names of all backbones, sorted."""
    return list(implementations(__name__, Backbone))


def by_name(name: str) -> type[Backbone]:
    """The backbone class called `name`; build it for your data with `.fitting(event_shape, ...)`."""
    return find(__name__, Backbone, name)
