"""Data and labels as users hold them, tensors, arrays or lists, as the tensors that a model is fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sde_diffusion.data import DataSource
from sde_diffusion.data.labels import as_labels
from sde_diffusion.data.tables import table_of
from sde_diffusion.sde import LinearSDE


def as_tensor(x: Any) -> Tensor:
    """Data (N, *E) as a finite floating tensor: tensors, arrays, nested lists of numbers, and whole data sets.

    The labels of a data set are left out. Raises TypeError for what is no array, ValueError for another shape, or for NaN and infinite numbers.
    """
    if isinstance(x, nn.Module | LinearSDE):
        raise TypeError(f"data come first: x (N, *E), got {type(x).__name__}; swap the arguments")
    if isinstance(x, DataLoader | Dataset | DataSource):
        table = table_of(x)
        x = table.rows(torch.arange(len(table))).x
    try:
        rows = x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"data are numbers (N, *E), got {type(x).__name__} ({error}); give an array or a tensor"
        ) from error
    rows = rows if rows.is_floating_point() else rows.float()
    if rows.ndim < 2 or rows.numel() == 0:
        raise ValueError(f"data have shape (N, *E), got {tuple(rows.shape)}; one number a sample is x[:, None]")
    if not bool(torch.isfinite(rows).all()):
        count = int((~torch.isfinite(rows)).sum())
        raise ValueError(f"data are finite, got {count} NaN or infinite numbers of {rows.numel()}; drop those rows")
    return rows


__all__ = ["as_labels", "as_tensor"]
