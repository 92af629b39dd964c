"""What an extractor is, and how it is asked: in chunks, on any device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Extractor = Callable[[Tensor], Tensor]
"""Examples (N, *E) to features (N, D) on the same device; each row depends on its own example alone."""


@torch.no_grad()
def extracted(extractor: Extractor, x: Tensor, chunk: int = 256, device: torch.device | str = "cpu") -> Tensor:
    """The features (N, D) of examples x (N, *E), `chunk` at a time, computed and left on the device.

    Raises ValueError for no examples, a chunk that is not positive, or features that are not (N, D).
    """
    if len(x) == 0 or chunk < 1:
        raise ValueError(
            f"features need at least one example and a positive chunk, got {len(x)} examples, chunk {chunk}"
        )
    features = torch.cat([extractor(part.to(device)) for part in x.split(chunk)])
    if features.ndim != 2 or len(features) != len(x):
        raise ValueError(
            f"an extractor makes features (N, D) of examples (N, *E), got {tuple(features.shape)} of {tuple(x.shape)}; "
            "flatten what it returns"
        )
    return features
