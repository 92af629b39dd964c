"""Class labels as people write them, numbers or texts, as numbers from 0 with a name for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

Labels = tuple[Tensor, tuple[str, ...]]
"""Numbers of classes, int64 (N,), and a name for each class."""


def as_labels(labels: Any) -> Labels | tuple[None, None]:
    """(int64 (N,), names of the classes) of integers from 0 or of strings; (None, None) without labels.

    Raises ValueError for anything else.
    """
    return (None, None) if labels is None else class_labels(labels)


def class_labels(labels: Any) -> Labels:
    """The same where there are labels."""
    rows = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    if rows.ndim != 1 or rows.size == 0:
        raise ValueError(f"labels have shape (N,), one for each sample, got {rows.shape}")
    if rows.dtype.kind in "USO":
        return _named(rows.astype(str))
    if rows.dtype.kind not in "iub" or rows.min() < 0:
        raise ValueError(f"labels are integers from 0 or strings, got {rows.dtype}; number the classes")
    return torch.from_numpy(rows.astype(np.int64)), tuple(str(k) for k in range(int(rows.max()) + 1))


def labels_of_file(labels: np.ndarray) -> Labels:
    """The labels in a file: texts, integers from 0, or other integers such as years.

    Integers from 0 that are below twice the number of classes are numbers of classes; others are names. Raises ValueError
    for what is neither, or could be both.
    """
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        return class_labels(labels)
    values = np.unique(labels)
    if values[0] >= 0 and values[-1] < 2 * len(values):
        return class_labels(labels)
    if ((values >= 0) & (values < len(values))).any():
        raise ValueError(
            f"labels are {len(values)} different integers from {values[0]} to {values[-1]}, which could be numbers or names "
            "of classes; number the classes from 0, or write texts"
        )
    return _named(labels)


def _named(labels: np.ndarray) -> Labels:
    names, numbers = np.unique(labels, return_inverse=True)
    return torch.from_numpy(numbers).long(), tuple(map(str, names.tolist()))
