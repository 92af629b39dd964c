"""The U-Net of diffusers as a backbone: what is trained in it runs there, as a pipeline's folder (`export --format diffusers`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

from sde_diffusion.networks import presets
from sde_diffusion.networks.base import Backbone, zeroed
from sde_diffusion.networks.foreign import ChainTimestep, DiffusersBackbone
from sde_diffusion.resolver import arguments

_WIDEST = 12.0  # beyond this noise level up and down, a network without a chain makes no difference

PRESETS = {name: {k: v for k, v in given.items() if k != "vector"} for name, given in presets.UNET.items()}
"""Those of `UNet`; the width of the conditioning is diffusers' own, four times the first level's."""


class DiffusersUNet(DiffusersBackbone, Backbone):
    """diffusers' UNet2DModel for pictures (channels, size, size), its arguments those of `UNet`.

    `levels` are the noise levels log(sigma/alpha) that it calls its timesteps 0, 1, ...: a chain's, for the network to
    run there; 1000 of them between -12 and 12 unless given. Label -1 and no label are a class of their own, the last.
    `config` holds UNet2DModel's own arguments, such as those of a pipeline's folder, in the place of all others but `levels`.

    References:
        von Platen et al., Diffusers, 2022, https://github.com/huggingface/diffusers
    """

    name = "diffusers_unet"
    presets = PRESETS

    def __init__(
        self,
        channels: int = 1,
        size: int | Sequence[int] = 32,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (),
        classes: int | None = None,
        dropout: float = 0.0,
        levels: Sequence[float] | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        rising = _usual() if levels is None else levels
        network = (
            _of_config(config)
            if config is not None
            else _built(channels, size, width, multipliers, blocks, set(attention), classes, dropout)
        )
        super().__init__(network, ChainTimestep(rising), no_label=classes)

    @classmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """A network for pictures (C, H, W); ValueError for other samples, or for sides that do not halve evenly."""
        factor = 2 ** (len(options.get("multipliers", (1, 2))) - 1)
        if len(event_shape) != 3 or any(side % factor for side in event_shape[1:]):
            raise ValueError(
                f"a UNet2DModel of this depth takes pictures (C, H, W) with sides divisible by {factor}, got samples of "
                f"shape {tuple(event_shape)}; pad them, use fewer multipliers, or try unet"
            )
        channels, height, breadth = event_shape
        return cls(channels, height if height == breadth else [height, breadth], **options)

    @property
    def checkpointing(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether training keeps only the input of each block."""
        return bool(self.network.is_gradient_checkpointing)

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        network: Any = self.network
        network.enable_gradient_checkpointing() if wanted else network.disable_gradient_checkpointing()


def _usual() -> list[float]:
    return [_WIDEST * (2 * k / 999 - 1) for k in range(1000)]


def _of_config(config: dict[str, Any]) -> Any:
    """A UNet2DModel of its own arguments that begins as the zero function. Raises ValueError for arguments that it lacks."""
    cls = _model_class()
    arguments("network", {"name": "UNet2DModel", **config}, cls)
    network = cls(**config)
    zeroed(network.conv_out)
    return network


def _built(
    channels: int,
    size: int | Sequence[int],
    width: int,
    multipliers: Sequence[int],
    blocks: int,
    attention: set[int],
    classes: int | None,
    dropout: float,
) -> Any:
    """A UNet2DModel with residual resampling and modulation, as ADM has, that begins as the zero function."""
    last = len(multipliers) - 1
    down, up = zip(*(_kinds(level in attention, level, last) for level in range(last + 1)), strict=True)
    network = _model_class()(
        sample_size=size if isinstance(size, int) else list(size), in_channels=channels, out_channels=channels,  # pyright: ignore
        block_out_channels=tuple(width * m for m in multipliers), layers_per_block=blocks, down_block_types=down,
        up_block_types=up[::-1], downsample_type="resnet", upsample_type="resnet", resnet_time_scale_shift="scale_shift",
        attention_head_dim=min(64, width), norm_num_groups=math.gcd(width, 16), dropout=dropout, add_attention=bool(attention),
        num_class_embeds=None if classes is None else classes + 1,
    )  # fmt: skip
    zeroed(network.conv_out)
    return network


def _model_class() -> Any:
    try:
        from diffusers.models.unets.unet_2d import UNet2DModel
    except ImportError as error:
        raise ImportError(
            "this needs the package diffusers; install it with `pip install 'sde-diffusion[diffusers]'`"
        ) from error
    return UNet2DModel


def _kinds(attend: bool, level: int, last: int) -> tuple[str, str]:
    """The names of a level's blocks on the way down and up; the coarsest is not halved, the finest not doubled."""
    if attend:
        return "AttnDownBlock2D", "AttnUpBlock2D"
    return (
        "ResnetDownsampleBlock2D" if level < last else "DownBlock2D",
        "ResnetUpsampleBlock2D" if level else "UpBlock2D",
    )
