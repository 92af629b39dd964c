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
    """The numbers of `sets` M different rows, int64 (sets M,): row i of each set has about the condition i.

    Args:
        condition: (M, K); `train` (N, K), N >= sets M, among which is chosen. Columns count in units of their deviation.
        labels, train_labels: classes (M,) and (N,), which are to be equal.

    Raises ValueError where a class has too few rows.
    """
    from scipy.optimize import linear_sum_assignment

    scale = train.double().std(0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    wanted, known = condition.double() / scale, train.double() / scale
    found = []
    for number in range(sets):
        among = torch.arange(number, len(train), sets)[:MOST]
        cost = torch.cdist(wanted, known[among]).square()
        if labels is not None and train_labels is not None:
            other = labels[:, None] != train_labels[among][None]
            cost = torch.where(other, cost + 2 * float(cost.sum()) + 1, cost)
        chosen = torch.from_numpy(linear_sum_assignment(cost.numpy())[1])
        if labels is not None and train_labels is not None and bool((labels != train_labels[among][chosen]).any()):
            raise ValueError("a class has more held-out than training rows to compare with; hold out fewer")
        found.append(among[chosen])
    return torch.cat(found)
