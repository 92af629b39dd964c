"""Data and labels as users hold them, tensors, arrays or lists, as the tensors that a model is fitted to."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from sde_diffusion.data import DataSource
from sde_diffusion.data.labels import as_labels
from sde_diffusion.data.stored import ArrayTable
from sde_diffusion.data.tables import Table, table_of
from sde_diffusion.sde import LinearSDE


def as_tensor(x: Any) -> Tensor:
    """Data (N, *E) as a finite floating tensor: tensors, arrays, nested lists of numbers, and whole data sets.

    The labels of a data set are left out. Raises TypeError for what is no array, ValueError for another shape, or for NaN
    and infinite numbers.
    """
    _check_not_swapped(x)
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


def as_table(x: Any, labels: bool = False) -> Table:
    """Data (N, *E) as a table whose rows stay as they are stored until they are asked for; lists become a tensor.

    `labels`: whether those of a source or a data set come along. Raises TypeError or ValueError as `as_tensor` does, but for
    NaN and infinite numbers, which are found when the rows are read.
    """
    _check_not_swapped(x)
    if isinstance(x, Table):
        return x
    if isinstance(x, DataLoader | Dataset | DataSource):
        return table_of(x, labels or None)
    plain = isinstance(x, Tensor) or (isinstance(x, np.ndarray) and x.dtype.kind in "fiub")
    return ArrayTable(x if plain else as_tensor(x))


def _check_not_swapped(x: Any) -> None:
    if isinstance(x, nn.Module | LinearSDE):
        raise TypeError(f"data come first: x (N, *E), got {type(x).__name__}; swap the arguments")


def class_names_of(x: Any) -> tuple[str, ...]:
    """The names of the classes of a source or a data set that brings labels along; ValueError for any other data."""
    names = getattr(x, "class_names", None) or getattr(x, "classes", None)
    if isinstance(names, int | str) or not names:
        raise ValueError(
            f"labels=True takes those of a source, or of a data set with `classes`, and {type(x).__name__} has none; "
            "give one label for each sample"
        )
    return tuple(map(str, names))


__all__ = ["as_labels", "as_table", "as_tensor", "class_names_of"]
