"""The U-Net of ADM with the conditioning that its authors trained it with, so that their weights can be read.

Its residual blocks and its attention are those of `UNet`; what differs is how the noise level and the label come in:

    v = W_2 silu(W_1 features(timestep) + b_1) + b_2 + label,   features(k) = (cos w_i k, sin w_i k),  w_i = 10000^(-i/K)      (1)

`weights_of_others` has the names that others gave to its parameters.

References:
    Dhariwal & Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021, https://arxiv.org/abs/2105.05233, section 3 and
        appendix F
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix F.4 (the same network with c_noise = log(sigma)/4 as its timestep)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from sde_diffusion.networks.base import Backbone, zeroed
from sde_diffusion.networks.blocks import convolution
from sde_diffusion.networks.foreign import ChainTimestep, DiffusersBackbone, LogTimestep
from sde_diffusion.networks.unet import UNet

SLOWEST = 1e-4


class ADM(DiffusersBackbone, Backbone):
    """For pictures (channels, H, W) with sides divisible by 2^(levels - 1); the arguments are those of `UNet`.

    `levels` are the noise levels log(sigma/alpha) that the network calls its timesteps 0, 1, ...: those of the chain that it was
    trained on; without them the timestep is log(sigma/alpha)/4, as in EDM. Label -1 stands for no label, whose vector is
    zero; with `unlabelled` False it is refused, as for a network that never saw a picture without its label. `outputs` is the
    number of channels that the network has at its end, of which the first `channels` are used: the others are its
    variances. Raises ValueError for a width that is no multiple of 128, for which others have other groups of channels.
    """

    name = "adm"

    def __init__(
        self,
        channels: int = 3,
        width: int = 128,
        multipliers: Sequence[int] = (1, 2, 2),
        blocks: int = 2,
        attention: Sequence[int] = (1,),
        classes: int | None = None,
        dropout: float = 0.0,
        levels: Sequence[float] | None = None,
        unlabelled: bool = True,
        outputs: int | None = None,
    ) -> None:
        if not attention:
            raise ValueError("ADM has attention at its coarsest level at least; list levels, such as attention=(2,)")
        network = _Network(channels, width, multipliers, blocks, attention, classes, dropout, outputs or channels)
        timestep = LogTimestep() if levels is None else ChainTimestep(levels)
        super().__init__(network, timestep, no_label=classes if unlabelled else None)

    @classmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """A network for pictures (C, H, W); ValueError for other samples, or for sides that do not halve evenly."""
        if len(event_shape) != 3:
            raise ValueError(f"ADM takes pictures (C, H, W), got samples of shape {tuple(event_shape)}; try unet")
        made = cls(event_shape[0], **options)
        made.body.check(event_shape)
        return made

    @property
    def body(self) -> UNet:
        """The U-Net within."""
        network: Any = self.network
        return network.body

    @property
    def checkpointing(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether training keeps only the input of each block."""
        return self.body.checkpointing

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        self.body.checkpointing = wanted


class _Network(nn.Module):
    """Called (x, timestep, class_labels), as `DiffusersBackbone` calls networks."""

    def __init__(
        self,
        channels: int,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: Sequence[int],
        classes: int | None,
        dropout: float,
        outputs: int,
    ) -> None:
        super().__init__()
        if tuple(multipliers)[:1] != (1,) or outputs < channels:
            raise ValueError(
                f"ADM's finest level has its width itself, and at least {channels} channels at its end, got multipliers "
                f"{tuple(multipliers)} and outputs {outputs}; correct them"
            )
        self.body = UNet(channels, width, multipliers, blocks, attention, dropout=dropout, vector=4 * width)
        conditioning: Any = TimestepConditioning(width, classes)
        self.body.condition = conditioning
        self.body.leave = zeroed(convolution(2, width, outputs))
        self.config = SimpleNamespace(in_channels=channels, num_class_embeds=None if classes is None else classes + 1)

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor | None = None) -> Tensor:
        return self.body(x, timestep, class_labels)[:, : x.shape[1]]


class TimestepConditioning(nn.Module):
    """Equation (1): (timestep (B,), x, label (B,) or None) -> (B, 4 width); the label after the last is none, and zero."""

    def __init__(self, width: int, classes: int | None) -> None:
        super().__init__()
        self.width = width
        self.layer0, self.layer1 = nn.Linear(width, 4 * width), nn.Linear(4 * width, 4 * width)
        self.label = None if classes is None else nn.Embedding(classes + 1, 4 * width)
        if self.label is not None:
            nn.init.zeros_(self.label.weight[-1].detach())

    def forward(self, timestep: Tensor, x: Tensor, label: Tensor | None = None, *_: Any) -> Tensor:
        """The vectors."""
        vector = self.layer1(silu(self.layer0(timestep_features(timestep, self.width).to(x))))
        return vector if self.label is None or label is None else vector + self.label(label)


def timestep_features(timestep: Tensor, width: int) -> Tensor:
    """The features of equation (1): (B,) -> (B, width), width even, in the timestep's dtype."""
    half = width // 2
    exponents = torch.arange(half, dtype=timestep.dtype, device=timestep.device) / half
    angles = timestep[:, None] * torch.exp(math.log(SLOWEST) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
