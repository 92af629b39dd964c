"""The labels and the conditions of training data as a model takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.arrays import as_table, class_names_of
from sde_diffusion.conditions import ConditionColumns, conditions
from sde_diffusion.conditions.columns import CONDITION, CONTEXT, rows_of
from sde_diffusion.data.base import Batch
from sde_diffusion.data.stream import StreamTable
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


def conditioned_table(table: Table, x: Any, condition: Any, columns: ConditionColumns | None) -> Table:
    """The rows of the `table` of data x with what the network is given of their condition; the table itself without columns.

    `condition`: numbers, as in `ConditionColumns.rows`, or True for those that x brings along. Raises ValueError for ones that
    do not fit the columns, or that are missing.
    """
    if columns is None:
        if condition is not None:
            raise ValueError("this model takes no condition; make one with for_data(x, condition=...)")
        return table
    if condition is None:
        raise ValueError(
            f"this model takes a condition and none came; give {columns.spelt()}, a number for each sample"
        )
    if condition is not True:
        return WithContext(WithConditions(table, {CONDITION: columns.rows(len(table), condition)}), columns)
    if isinstance(table, StreamTable):
        _check_columns(getattr(x, "condition_names", None) or columns.names, columns)
        return table.changed(InContext(columns))
    names, rows = rows_of(x, True)
    _check_columns(names, columns)
    return WithContext(WithConditions(table, {CONDITION: rows}), columns)


def _check_columns(names: Names, columns: ConditionColumns) -> None:
    if names != columns.names:
        raise ValueError(
            f"the data's conditions are {', '.join(names)}, and the model's {', '.join(columns.names)}; make them equal"
        )


@dataclass(frozen=True)
class InContext:
    """A batch whose condition `condition` (B, K), in its own units, becomes `context` (B, K + 1)."""

    columns: ConditionColumns

    def __call__(self, batch: Batch) -> Batch:
        """The batch with its context."""
        others = {name: value for name, value in batch.condition.items() if name != CONDITION}
        context = self.columns.context(batch.condition[CONDITION]).to(batch.x.device)
        return Batch(batch.x, batch.source, others | {CONTEXT: context})


class WithContext(Table):
    """The rows of a table whose condition `condition` (B, K), in its own units, has become `context` (B, K + 1)."""

    def __init__(self, table: Table, columns: ConditionColumns) -> None:
        self.table, self.change, self.device = table, InContext(columns), table.device

    def __len__(self) -> int:
        """N."""
        return len(self.table)

    def rows(self, numbers: Tensor) -> Batch:
        """The rows `numbers` int64 (B,)."""
        return self.change(self.table.rows(numbers))


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
