"""The share of each class among samples: it shows modes that a model drops or prefers."""

from __future__ import annotations

import torch
from torch import Tensor


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """The share of each class among labels (N,), integers 0 .. classes - 1: float64 (classes,), of sum 1.

    For samples of a model, labels = classifier.predict(samples). Raises ValueError for labels out of range or none.
    """
    if labels.ndim != 1 or labels.numel() == 0 or labels.is_floating_point():
        raise ValueError(f"labels are integers (N,), got {labels.dtype} of shape {tuple(labels.shape)}")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(f"labels lie in 0 .. {classes - 1}, got {int(labels.min())} to {int(labels.max())}")
    return torch.bincount(labels.flatten(), minlength=classes).double() / len(labels)


def total_variation(shares: Tensor, other: Tensor) -> float:
    """Half the sum of |p_k - q_k| for two distributions on the classes (K,): 0 for equal, 1 for disjoint ones."""
    if shares.shape != other.shape:
        raise ValueError(
            f"both distributions are on the same classes, got shapes {tuple(shares.shape)} and {tuple(other.shape)}"
        )
    return float((shares - other.to(shares)).abs().sum() / 2)
