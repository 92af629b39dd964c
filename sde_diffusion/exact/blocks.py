r"""Rows in blocks: what is computed row by row through a large intermediate never needs all of it at once.

On a CPU a block fits in the cache, which is several times faster than streaming through memory; on an accelerator a
block only bounds the memory.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from solvers.elementwise import Coefficient

CPU_ENTRIES = 2**19
"""Numbers of an intermediate held at a time on a CPU: 4 MiB in float64."""

DEVICE_ENTRIES = 2**26
"""Numbers of an intermediate held at a time on an accelerator: 512 MiB in float64."""


def in_blocks(compute: Callable[..., Tensor], width: int, rows: Tensor, *levels: Coefficient) -> Tensor:
    """compute(rows, *levels) for rows (B, d), a block of rows at a time, when a row needs `width` numbers in between.

    Levels with an entry for each row are cut with the rows; floats and single entries go to every block.
    """
    size = max(1, (CPU_ENTRIES if rows.device.type == "cpu" else DEVICE_ENTRIES) // width)
    if len(rows) <= size:
        return compute(rows, *levels)
    cuts = range(0, len(rows), size)
    return torch.cat([compute(rows[i : i + size], *(_cut(c, i, size, len(rows)) for c in levels)) for i in cuts])


def _cut(level: Coefficient, start: int, size: int, rows: int) -> Coefficient:
    if isinstance(level, Tensor) and level.ndim > 0 and len(level) == rows:
        return level[start : start + size]
    return level
