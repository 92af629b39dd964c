"""One observation of each kind, of samples of the shape that its y was made for."""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.observations import (
    BlockAverage,
    Blur,
    Function,
    LinearMeasurement,
    Mask,
    Matrix,
    Observation,
    OneBit,
    Square,
)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear() -> dict[str, tuple[LinearMeasurement, tuple[int, ...]]]:
    """Name -> (observation, event shape)."""
    seen = normal(2, 3, seed=4) > 0
    return {
        "mask": (Mask(normal(int(seen.sum())), seen, 0.2), (2, 3)),
        "average of a signal": (BlockAverage(normal(3), (2,), 0.1), (6,)),
        "average of pictures": (BlockAverage(normal(2, 2, 3), (1, 3, 2), 0.1), (2, 6, 6)),
        "matrix": (Matrix(normal(4), normal(4, 2, 3, seed=1), 0.5), (2, 3)),
        "blur of a signal": (Blur(normal(1, 7), normal(3), 0.2), (1, 7)),
        "blur of pictures": (Blur(normal(2, 5, 4), normal(4, 3), 0.2), (2, 5, 4)),
    }


def all_kinds() -> dict[str, tuple[Observation, tuple[int, ...]]]:
    return {
        **linear(),
        "function": (Function(normal(3), lambda x: x.flatten(1)[:, :3] ** 2, 0.3), (2, 2)),
        "one bit": (OneBit(-1, normal(2, 2), 0.2), (2, 2)),
        "square": (Square(0.7, normal(5), 0.1), (5,)),
    }
