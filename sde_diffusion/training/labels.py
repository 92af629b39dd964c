"""The labels of training data as a model takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.arrays import as_table, class_names_of
from sde_diffusion.conditions import conditions
from sde_diffusion.data.tables import Table, WithConditions

Names = tuple[str, ...]


def labelled_table(x: Any, labels: Any, names: Names | None) -> Table:
    """Data (N, *E) with their labels, for a model whose classes have these names; None for one without.

    `labels`: one for each sample, a number or a name; True for those that a source or a data set brings along. Raises
    ValueError for labels that do not fit the model.
    """
    if labels is True:
        _check_number(class_names_of(x), names)
        return as_table(x, labels=True)
    table = as_table(x)
    if labels is None and names is not None:
        raise ValueError(f"this model takes {len(names)} classes and no labels came; give labels=")
    return table if labels is None else WithConditions(table, {"label": _numbers(labels, len(table), names)})


def _numbers(labels: Any, count: int, names: Names | None) -> Tensor:
    """int64 (N,)."""
    values = labels if isinstance(labels, Tensor) else np.asarray(labels)
    found = conditions(count, {"label": values}, names)["label"]
    return found if isinstance(found, Tensor) else torch.full((count,), found)


def _check_number(found: Names, names: Names | None) -> None:
    if names is None or len(found) != len(names):
        raise ValueError(
            f"the data have {len(found)} classes and this model {len(names) if names else 'none'}; make them equal"
        )
