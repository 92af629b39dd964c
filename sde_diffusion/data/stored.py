"""Tables whose numbers stay as they are stored, such as uint8 or memory-mapped, until a batch of them is asked for."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.base import Batch
from sde_diffusion.data.tables import Table


class ArrayTable(Table):
    """A tensor or an array (N, *E) of any real dtype; of a `numpy.memmap` a batch's rows alone are read."""

    def __init__(self, x: Tensor | np.ndarray) -> None:
        """Raises ValueError unless the shape is (N, *E) with at least one number."""
        if x.ndim < 2 or 0 in x.shape:
            raise ValueError(f"data have shape (N, *E), got {tuple(x.shape)}; one number a sample is x[:, None]")
        self.x = x
        self.device = x.device if isinstance(x, Tensor) else torch.device("cpu")

    def __len__(self) -> int:
        """N."""
        return len(self.x)

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,)."""
        if isinstance(self.x, Tensor):
            return Batch(self.x[numbers.to(self.device)])
        rows = self.x[numbers.cpu().numpy()]
        return Batch(torch.from_numpy(rows.astype(rows.dtype.newbyteorder("="), copy=False)))
