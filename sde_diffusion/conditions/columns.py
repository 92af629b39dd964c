"""Columns of numbers that a model is conditioned on, in the units of their table, and what a network is given of them.

A network takes the argument `context` (B, K + 1): the K numbers, each column of mean zero and variance one among the training
data, and a 1. A row of zeros stands for no condition. No condition is one, because of the 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.conditions.dropped import PartlyDropped
from sde_diffusion.conditions.encoded import (
    Encoder,
    Encoders,
    encoder_of_dict,
    is_words,
    places,
    standardised_columns,
    with_encoded,
)
from sde_diffusion.data.base import DataSource
from sde_diffusion.data.captions import HashedNGrams
from sde_diffusion.data.labels import class_labels
from sde_diffusion.data.one_hot import OneHot
from sde_diffusion.data.tables import table_of
from sde_diffusion.standardization import Standardization

CONDITION, CONTEXT = "condition", "context"
"""The numbers in their own units, and what the network is given of them, by the names of their arguments."""

BEYOND = 0.5
"""How far outside of the training data a condition may lie, in widths of their range, before a warning says so."""


@dataclass(frozen=True, eq=False)
class ConditionColumns:
    """K columns that a model is conditioned on.

    Attributes:
        names: of the columns.
        standardization: the map of their numbers to mean zero and variance one, shift and scale of shape (K,).
        low, high: the smallest and the largest number of each column of the training data, float64 (K,).
        dropout: the share of the training samples whose condition is dropped; 0 for a model that always needs one.
        encoders: what makes the columns of a text or of a class, by its name. They are scaled by the root of their number.
        own_dropout: the share of the samples for which a text or a class alone is dropped, by its name, and becomes zeros:
            one with a share may be left out.
    """

    names: tuple[str, ...]
    standardization: Standardization
    low: Tensor
    high: Tensor
    dropout: float = 0.1
    encoders: Encoders = field(default_factory=dict)
    own_dropout: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ValueError for names that are not unique or as many as the columns, and for a share outside of [0, 1]."""
        for name in ("low", "high"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64).cpu())
        shapes = {tuple(part.shape) for part in (self.low, self.high, self.standardization.shift)}
        if not self.names or len(set(self.names)) < len(self.names) or shapes != {(len(self.names),)}:
            raise ValueError(
                f"conditions have one name for each column, got {', '.join(self.names) or 'none'}; name them"
            )
        if not bool((self.low < self.high).all()):
            raise ValueError("low is below high for each column of a condition; measure them with ConditionColumns.of")
        places(self.names, self.encoders)
        if other := self.own_dropout.keys() - self.encoders.keys():
            raise ValueError(
                f"the dropout of {min(other)!r} is that of no text or class of the condition; leave it out"
            )
        for share in (self.dropout, *self.own_dropout.values()):
            if not 0 <= share <= 1:
                raise ValueError(f"the dropout of a condition is a share in [0, 1], got {share}; 0.1 is usual")

    @classmethod
    def of(cls, x: Any, condition: Any, dropout: float | Mapping[str, float] = 0.1) -> Self:
        """Those of training data x with their conditions, see `rows_of`.

        `dropout`: the share of samples whose whole condition is dropped, and, where there are several, the share for each
        class alone; or these shares by name, that of the whole by "condition".

        Raises ValueError for numbers that are not finite, and for a column that is one and the same number in all rows.
        """
        names, rows = rows_of(x, condition)
        _refuse_not_finite(rows, names)
        encoders = encoders_of(x, condition)
        low, high = rows.amin(0), rows.amax(0)
        for name, where in places(names, encoders).items():
            low[where], high[where] = (-1.0 if isinstance(encoders[name], HashedNGrams) else 0.0), 1.0
        constant = [name for name, same in zip(names, (low == high).tolist(), strict=True) if same]
        if constant:
            value = float(low[names.index(constant[0])])
            raise ValueError(
                f"the condition {constant[0]!r} is {value:g} in all rows, and nothing can be learnt of it; leave it out"
            )
        standard, (whole, own) = standardised_columns(names, rows, encoders), _shares(dropout, names, encoders)
        return cls(names, standard, low, high, whole, encoders, own)

    @property
    def dropped(self) -> float | PartlyDropped:
        """How the network's argument is dropped in training."""
        if not any(self.own_dropout.values()):
            return self.dropout
        where = places(self.names, self.encoders)
        return PartlyDropped(self.dropout, tuple((where[name], share) for name, share in self.own_dropout.items()))

    @property
    def size(self) -> int:
        """How many numbers the network is given, K + 1."""
        return len(self.names) + 1

    def rows(self, n: int, value: Any) -> Tensor:
        """The numbers for n samples, float64 (n, K) in their own units.

        Args:
            value: numbers, texts and classes by their names, each one for all samples or n of them; or an array in the order of the columns, (K,) for all samples or (n, K).

        Raises ValueError for other names or shapes, for texts, and for numbers that are not finite.
        """
        rows = self._by_name(n, value) if hasattr(value, "keys") else self._by_position(n, value)
        _refuse_not_finite(rows, self.names)
        return rows

    def context(self, rows: Tensor) -> Tensor:
        """What the network is given, float64 (n, K + 1), of numbers (n, K) in their own units."""
        z = self.standardization.to_standard(rows.double().cpu())
        return torch.cat([z, torch.ones(len(z), 1, dtype=z.dtype)], dim=1)

    def warn_if_far(self, rows: Tensor) -> None:
        """Warn of numbers (n, K) that lie far outside of the training data, where a network only guesses."""
        width = BEYOND * (self.high - self.low)
        far = ((rows < self.low - width) | (rows > self.high + width)).nonzero()
        if len(far):
            row, column = far[0].tolist()
            warnings.warn(
                f"the condition {self.names[column]}={float(rows[row, column]):g} lies far outside of the training data, "
                f"{float(self.low[column]):g} to {float(self.high[column]):g}: what the model gives there is a guess",
                stacklevel=2,
            )

    def refuse_none(self) -> None:
        """Raises ValueError where the model has learnt no law without a condition."""
        if self.dropout == 0:
            raise ValueError(
                f"this model was trained without dropping its condition and always needs one; give {self.spelt()}, or train "
                "with condition_dropout=0.1"
            )

    def spelt(self) -> str:
        """How a condition is written."""
        return f"condition={{{', '.join(f'{name!r}: ...' for name in self.given_names())}}}"

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        plain = {"low": self.low.tolist(), "high": self.high.tolist(), "dropout": self.dropout}
        if self.encoders:
            encoders = {name: encoder.as_dict() for name, encoder in self.encoders.items()}
            plain |= {"encoders": encoders, "own_dropout": dict(self.own_dropout)}
        return {"names": list(self.names), "standardization": self.standardization.as_dict(), **plain}

    @classmethod
    def of_dict(cls, stored: Any) -> Self:
        """The inverse of `as_dict`. Raises ValueError for anything else."""
        names = ("names", "standardization", "low", "high", "dropout")
        if not isinstance(stored, dict) or set(stored) - {"encoders", "own_dropout"} != set(names):
            raise ValueError("the condition is no record of columns")
        if not all(isinstance(name, str) for name in stored["names"]):
            raise ValueError("the columns of the condition have no names")
        standard = Standardization.of_dict(stored["standardization"])
        encoders = {str(name): encoder_of_dict(one) for name, one in dict(stored.get("encoders", {})).items()}
        own = {str(name): float(share) for name, share in dict(stored.get("own_dropout", {})).items()}
        numbers = (stored["low"], stored["high"], float(stored["dropout"]))
        return cls(tuple(stored["names"]), standard, *numbers, encoders, own)

    def _by_name(self, n: int, value: Any) -> Tensor:
        given = {str(name): value[name] for name in value.keys()}  # noqa: SIM118 -- a DataFrame has no other names
        given = with_encoded(given, self.encoders, self.own_dropout)
        absent = [
            name for name, where in places(self.names, self.encoders).items() if self.names[where][0] not in given
        ]
        wrong = [name for name in given if name not in self.names] + absent
        wrong += [name for name in self.names if name not in given]
        if wrong:
            what = "has no column" if wrong[0] in given else "lacks"
            kind = "a value" if self.encoders else "a number"
            raise ValueError(
                f"the condition {what} {wrong[0]!r}; it has {kind} for each of {', '.join(self.given_names())}"
            )
        columns = [_numbers(given[name], f"the condition {name!r}") for name in self.names]
        for name, column in zip(self.names, columns, strict=True):
            if tuple(column.shape) not in ((), (1,), (n,)):
                raise ValueError(
                    f"the condition {name!r} is one number, or one for each of the {n} samples, got {tuple(column.shape)}"
                )
        return torch.stack([column.reshape(-1).expand(n) for column in columns], dim=1)

    def given_names(self) -> list[str]:
        """The names of numbers, texts and classes, as they are given."""
        encoded = {one for where in places(self.names, self.encoders).values() for one in self.names[where]}
        return [*(name for name in self.names if name not in encoded), *self.encoders]

    def _by_position(self, n: int, value: Any) -> Tensor:
        rows, columns = _numbers(value, "the condition"), len(self.names)
        if columns == 1 and tuple(rows.shape) in ((), (n,)):
            rows = rows.reshape(-1, 1)
        if tuple(rows.shape) not in ((columns,), (1, columns), (n, columns)):
            raise ValueError(
                f"the condition has one row for all samples, ({columns},), or one for each of the {n}, ({n}, {columns}): "
                f"{', '.join(self.names)}; got {tuple(rows.shape)}"
            )
        return rows.expand(n, columns)


def rows_of(x: Any, condition: Any) -> tuple[tuple[str, ...], Tensor]:
    """The names of the columns, and the numbers float64 (N, K) in their own units, of training data x (N, *E).

    Args:
        condition: an array (N, K) or (N,), whose columns are called c0, c1, ...; columns (N,) by their names, in a mapping
            or a DataFrame, where texts are classes; True for those of a source, or of a data set of pairs (sample, {"condition": (K,)}).

    Raises ValueError for anything else, and for another number of rows.
    """
    if condition is True:
        return _of_data(x)
    named = hasattr(condition, "keys")
    columns = {str(name): condition[name] for name in condition.keys()} if named else {}  # noqa: SIM118
    if named:
        columns = with_encoded(columns, encoders_of(x, condition), {})
        read = [_numbers(column, f"the condition {name!r}") for name, column in columns.items()]
        if not read or any(column.shape != read[0].shape or column.ndim != 1 for column in read):
            raise ValueError("conditions by their names are columns (N,) of one length, one for each name")
        return _checked(x, tuple(columns), torch.stack(read, dim=1))
    rows = _numbers(condition, "the condition")
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"conditions are numbers (N, K), one row for each sample, got shape {tuple(rows.shape)}")
    return _checked(x, default_names(rows.shape[1]), rows)


def encoders_of(x: Any, condition: Any) -> dict[str, Encoder]:
    """The encoders of a source's own conditions, and those of columns of texts, whose different texts are classes."""
    if condition is True:
        return dict(getattr(x, "condition_encoders", {}))
    columns = {str(name): condition[name] for name in condition.keys()} if hasattr(condition, "keys") else {}  # noqa: SIM118
    return {name: OneHot(class_labels(column)[1]) for name, column in columns.items() if is_words(column)}


def _shares(
    dropout: float | Mapping[str, float], names: tuple[str, ...], encoders: Encoders
) -> tuple[float, dict[str, float]]:
    """The share of samples whose whole condition is dropped, and those of single classes."""
    if isinstance(dropout, Mapping):
        own = {str(name): float(share) for name, share in dropout.items()}
        return own.pop(CONDITION, 0.1), own
    several = len(names) > max((encoder.size for encoder in encoders.values()), default=0)
    return dropout, {name: dropout for name, one in encoders.items() if isinstance(one, OneHot) and several}


def default_names(count: int) -> tuple[str, ...]:
    """The names of columns that have none."""
    return tuple(f"c{number}" for number in range(count))


def _of_data(x: Any) -> tuple[tuple[str, ...], Tensor]:
    names = getattr(x, "condition_names", None)
    if isinstance(x, DataSource):
        if not names:
            raise ValueError(f"{type(x).__name__} has no conditions; name some, or leave out condition=True")
        rows = x.condition_rows(torch.arange(x.size()))
    else:
        found = [chunk.condition.get(CONDITION) for chunk in table_of(x).chunks()]
        rows = None if any(part is None for part in found) else torch.cat(found)  # pyright: ignore
    if rows is None or rows.ndim != 2:
        raise ValueError(
            f"condition=True takes those of a source, or of a data set of pairs (sample, {{'condition': (K,)}}), and "
            f"{type(x).__name__} has none; give an array with one row for each sample"
        )
    return tuple(names or default_names(rows.shape[1])), rows.double().cpu()


def _checked(x: Any, names: tuple[str, ...], rows: Tensor) -> tuple[tuple[str, ...], Tensor]:
    count = x.size() if isinstance(x, DataSource) else len(x)
    if len(rows) != count:
        raise ValueError(f"conditions have one row for each of the {count} samples, got {len(rows)}")
    return names, rows


def _numbers(value: Any, what: str) -> Tensor:
    """float64, on the CPU. Raises ValueError for what is no array of real numbers."""
    found = value.detach().cpu() if isinstance(value, Tensor) else np.asarray(value)
    real = not found.is_complex() if isinstance(found, Tensor) else found.dtype.kind in "iufb"
    if not real or isinstance(value, Mapping):
        raise ValueError(f"{what} is a number or several, got {str(value)[:80]!r}; write numbers such as 110 or 2.5")
    return torch.as_tensor(found).double()


def _refuse_not_finite(rows: Tensor, names: tuple[str, ...]) -> None:
    bad = (~rows.isfinite()).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        raise ValueError(
            f"the condition {names[column]!r} is {float(rows[row, column])} in row {row} (counted from 0), one of {len(bad)} "
            "numbers that are not finite; remove those rows or fill them"
        )
