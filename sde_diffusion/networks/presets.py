"""Networks by name: the arguments of sizes that others have trained, as plain data; `cost` says what each one costs.

    UNet.fitting((3, 32, 32), **UNET["ddpm++"])        --network unet --network.preset ddpm++
    DiT.fitting((4, 32, 32), **DIT["xl-2"])            --network dit --network.preset xl-2

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix F (DDPM++ for 32 x 32: 55.7 million parameters)
    Dhariwal & Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021, https://arxiv.org/abs/2105.05233, appendix I
    Peebles & Xie, Scalable Diffusion Models with Transformers, 2023, https://arxiv.org/abs/2212.09748, table 1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Presets = Mapping[str, Mapping[str, Any]]

UNET: Presets = {
    "tiny": {"width": 32, "multipliers": (1, 2, 2), "blocks": 1, "attention": (2,)},
    "small": {"width": 64, "multipliers": (1, 2, 2), "blocks": 2, "attention": (1,), "dropout": 0.1},
    "base": {"width": 128, "multipliers": (1, 2, 2, 2), "blocks": 2, "attention": (1,), "dropout": 0.1},
    "ddpm++": {"width": 128, "multipliers": (2, 2, 2), "blocks": 4, "attention": (1,), "dropout": 0.13, "vector": 256},
    "adm-64": {"width": 192, "multipliers": (1, 2, 3, 4), "blocks": 3, "attention": (1, 2, 3), "dropout": 0.1},
}
"""U-Nets: three sizes for small pictures, DDPM++ for 32 x 32, ADM for 64 x 64."""

_WIDTH_DEPTH_HEADS = {"s": (384, 12, 6), "b": (768, 12, 12), "l": (1024, 24, 16), "xl": (1152, 28, 16)}

DIT: Presets = {
    f"{size}-{patch}": {"width": width, "depth": depth, "heads": heads, "patch": patch}
    for size, (width, depth, heads) in _WIDTH_DEPTH_HEADS.items()
    for patch in (8, 4, 2)
}
"""The transformers of the paper, DiT-S/8 to DiT-XL/2."""
