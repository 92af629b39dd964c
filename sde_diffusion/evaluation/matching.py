"""Real rows under the conditions of other rows, as nearly as there are any: the baseline of a model that was given these.

Samples that were drawn under the held-out rows' own conditions are nearer to these rows than rows of any other conditions are,
and that is no merit of the model. So the real rows beside them are chosen, one for each held-out row and each once, with the
least sum of squared distances of the conditions: a linear assignment.

References:
    Crouse, On Implementing 2D Rectangular Assignment Algorithms, 2016, https://doi.org/10.1109/TAES.2016.140952
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST = 5000
"""The most rows among which one set is chosen."""


def matched_rows(
    condition: Tensor,
    train: Tensor,
    sets: int,
    labels: Tensor | None = None,
    train_labels: Tensor | None = None,
) -> Tensor:
    """The numbers of different rows, int64 (sets, M): row i of each set has about the condition i. Fewer sets in a rare class.

    Args:
        condition: (M, K); `train` (N, K), among which is chosen. Columns count in units of their deviation.
        labels, train_labels: classes (M,) and (N,), which are to be equal.

    Raises ValueError where there are too few rows, of a class or at all.
    """
    labels = torch.zeros(len(condition), dtype=torch.int64) if labels is None else labels
    train_labels = torch.zeros(len(train), dtype=torch.int64) if train_labels is None else train_labels
    scale = train.double().std(0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    wanted, known = condition.double() / scale, train.double() / scale
    members = [((labels == k).nonzero()[:, 0], (train_labels == k).nonzero()[:, 0]) for k in labels.unique()]
    sets = min([sets, *(len(there) // len(own) for own, there in members)])
    if sets == 0:
        raise ValueError("there are more held-out than training rows, of a class or at all; hold out fewer")
    found = torch.empty(sets, len(condition), dtype=torch.int64)
    for own, there in members:
        for number, among in enumerate(there[start::sets][:MOST] for start in range(sets)):
            found[number, own] = among[_assignment(wanted[own], known[among])]
    return found


def _assignment(wanted: Tensor, known: Tensor) -> Tensor:
    """A row of `known` (N, K) for each of `wanted` (M, K), int64 (M,), with the least sum of squared distances."""
    from scipy.optimize import linear_sum_assignment

    return torch.from_numpy(linear_sum_assignment(torch.cdist(wanted, known).square().numpy())[1])
