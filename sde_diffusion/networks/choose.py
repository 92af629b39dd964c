"""A network that suits the shape of the data, for whoever names none."""

from __future__ import annotations

from typing import Any

from sde_diffusion.networks.base import Backbone
from sde_diffusion.networks.mlp import TimeMLP
from sde_diffusion.networks.unet import UNet

COARSEST = 4
"""The shortest axis at the coarsest level of a U-Net."""


def network_for(event_shape: tuple[int, ...], classes: int | None = None, **options: Any) -> Backbone:
    """A residual MLP for tables (D,); a U-Net for signals (C, L), images (C, H, W) and volumes (C, D, H, W).

    `classes` is the number of labels, `options` are arguments of the network that win over the chosen ones.

    Raises ValueError for events of another rank, or where the first axis is hardly one of channels.
    """
    name, chosen = options_for(event_shape)
    return NETWORKS[name].fitting(event_shape, classes=classes, **{**chosen, **options})


def options_for(event_shape: tuple[int, ...]) -> tuple[str, dict[str, Any]]:
    """The name of that network, and its arguments. Raises ValueError as `network_for` does."""
    if len(event_shape) == 1:
        return TimeMLP.name, {"width": 128 if event_shape[0] <= 16 else 256}
    if not 2 <= len(event_shape) <= 4:
        raise ValueError(f"there is no usual network for samples of shape {event_shape}; give network=")
    if event_shape[0] > 32:
        raise ValueError(
            f"samples of shape {event_shape} would be read as {event_shape[0]} channels; for grey images add the channel "
            "axis with x[:, None], or give network="
        )
    return "unet", unet_options(event_shape)


NETWORKS: dict[str, type[Backbone]] = {TimeMLP.name: TimeMLP, "unet": UNet}


def unet_options(event_shape: tuple[int, ...]) -> dict[str, Any]:
    """Width and levels of a U-Net for (C, *S): as many levels as halve evenly, up to four; attention at the coarsest."""
    axes, levels = event_shape[1:], 1
    while levels < 4 and all(side % 2**levels == 0 and side >> levels >= COARSEST for side in axes):
        levels += 1
    width = 32 if max(axes) <= 16 else 64 if max(axes) <= 64 else 128
    coarsest_fits_attention = max(axes) >> (levels - 1) <= 32
    return {
        "width": width,
        "multipliers": (1, 2, 2, 2)[:levels],
        "blocks": 1 if max(axes) <= 16 else 2,
        "attention": (levels - 1,) if levels > 1 and coarsest_fits_attention else (),
    }
