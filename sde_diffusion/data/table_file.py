"""A table of one's own in a file, .csv, .tsv or .parquet: numeric columns are the samples, others their class and condition."""

from __future__ import annotations

import csv
import importlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sde_diffusion.data.labels import Labels, labels_of_file
from sde_diffusion.data.one_hot import OneHot
from sde_diffusion.data.own_data import Contents, OwnData, existing_file

SUFFIXES = (".csv", ".tsv", ".parquet")
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
"""Cells, in small letters, that hold no value."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class TableFile(OwnData):
    """The rows of a table with named columns, (D,) numbers each in the table's units, in the order of the file.

    `label` names the column of the classes, texts or integers, `condition` numeric columns that the others are conditioned
    on. Several labels, "species,sex" or a tuple, are conditions too, each a class of its own. `columns` are the numeric ones to take, by default all that are neither. `held_out`, `seed`: the share of the rows that
    is kept from training, and the key of the hash that picks it.
    """

    path: str
    label: str | tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """A name alone is a list of one."""
        for field in ("columns", "condition"):
            if isinstance(getattr(self, field), str):
                object.__setattr__(self, field, (getattr(self, field),))
        if isinstance(self.label, list | tuple):
            object.__setattr__(self, "label", ",".join(self.label) or None)

    @property
    def place(self) -> str:
        """The file."""
        return self.path

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the D columns."""
        others = {*self.label_names, *self.condition}
        return tuple(self.columns) or tuple(name for name in self._table.names if name not in others)

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """The columns of classes, one or several."""
        given = self.label if isinstance(self.label, str) else ""
        whole = not given or given in read_table(self.path).names
        return tuple(filter(None, [given])) if whole else tuple(part.strip() for part in given.split(","))

    @property
    def condition_names(self) -> tuple[str, ...] | None:
        """The names of the columns of the condition, and NAME=CLASS for each class of several labels."""
        encoded = [one for name, encoder in self.condition_encoders.items() for one in encoder.columns(name)]
        return (*self.condition, *encoded) or None

    @property
    def condition_encoders(self) -> dict[str, OneHot]:
        """The classes of each of several labels; one label alone is no condition."""
        return {name: OneHot(names) for name, (_, names) in self._several.items()}

    def read(self) -> Contents:
        """The numeric columns, the labels and the conditions."""
        table, used = self._table, (*self.column_names, *self.condition, *self.label_names)
        unused = [name for name in table.names if name not in used]
        notes = (f"columns left out: {', '.join(unused)}",) if unused else ()
        values, given = table.array(self.column_names), table.array(self.condition) if self.condition else None
        if not self._several:
            return Contents(values, self._labels(), notes=notes, condition=given)
        classes = [np.eye(len(names))[numbers.numpy()] for numbers, names in self._several.values()]
        condition = np.concatenate([*([] if given is None else [given]), *classes], axis=1)
        return Contents(values, None, self._items(values, given), notes, condition)

    def summary(self) -> dict[str, Any]:
        """The rows of each class of several labels, and the notes."""
        counts = {
            name: dict(zip(names, np.bincount(numbers.numpy(), minlength=len(names)).tolist(), strict=True))
            for name, (numbers, names) in self._several.items()
        }
        return counts | super().summary()

    def _items(self, values: np.ndarray, given: np.ndarray | None) -> tuple[bytes, ...]:
        """What each row is to the split: its numbers and the names of its classes."""
        words = zip(*(self._table.classes(name).astype(str).tolist() for name in self.label_names), strict=True)
        numbers = values if given is None else np.concatenate([values, given], axis=1)
        return tuple(row.tobytes() + repr(own).encode() for row, own in zip(numbers, words, strict=True))

    @cached_property
    def _several(self) -> dict[str, Labels]:
        """The classes of each of several labels; nothing for one label or none."""
        return {name: self._classes(name) for name in self.label_names} if len(self.label_names) > 1 else {}

    def _labels(self) -> Labels | None:
        return self._classes(self.label_names[0]) if self.label_names else None

    def _classes(self, name: str) -> Labels:
        try:
            return labels_of_file(self._table.classes(name))
        except ValueError as error:
            raise ValueError(f"{self.path!r}, column {name!r}: {error}") from error

    @cached_property
    def _table(self) -> _Cells:
        table = read_table(self.path)
        for name in (*self.columns, *self.condition, *self.label_names):
            if name not in table.names:
                raise ValueError(
                    f"{self.path!r} has no column {name!r}, but {', '.join(table.names)}; name one of these"
                )
        twice = [name for name in self.label_names if name in self.columns or self.label_names.count(name) > 1]
        if twice or len(table.names) == len(self.label_names):
            raise ValueError(
                f"{self.path!r}: {(*twice, *self.label_names)[0]!r} is the label and no number of a sample; name other columns"
            )
        _check_condition(self, table.names)
        return table


def _check_condition(source: TableFile, names: tuple[str, ...]) -> None:
    """Raises ValueError for a column of the condition that is another thing as well, and where no column is left."""
    twice = [name for name in source.condition if name in (*source.columns, *source.label_names)]
    twice += [name for name in source.condition if source.condition.count(name) > 1]
    if twice:
        raise ValueError(f"{source.path!r}: {twice[0]!r} is a column of the condition and named again; name it once")
    if source.condition and set(names) <= {*source.condition, *source.label_names}:
        raise ValueError(f"{source.path!r}: all columns are conditions, and none is left as data; name fewer")


@dataclass(frozen=True)
class _Cells:
    """A table by columns: texts, or arrays of numbers.

    Attributes:
        path: the file.
        names: of the columns.
        cells: a sequence for each.
        first: the number of the first row, as an editor or a program counts it.
    """

    path: str
    names: tuple[str, ...]
    cells: tuple[Sequence, ...]
    first: int

    @property
    def size(self) -> int:
        """N."""
        return len(self.cells[0])

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64 (N,). ValueError, with the column and the row, for text and for cells without a value."""
        column = self._column(name)
        if isinstance(column, np.ndarray) and column.dtype.kind in "iufb":
            self._refuse_missing(name, ~np.isfinite(column.astype(np.float64)), column)
            return column.astype(np.float64)
        good = np.array([isinstance(cell, str) and bool(_NUMBER.fullmatch(cell)) for cell in column])
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            self._refuse_missing(name, np.array([_is_missing(cell) for cell in column]), column)
            raise ValueError(
                f"{self.path!r}, column {name!r}, row {self.first + row}: {str(column[row])[:40]!r} is no number; make the "
                f"column the classes with label={name}, on the command line --data.label {name}, or name the numeric columns"
            )
        return np.array([float(cell) for cell in column])

    def array(self, names: Sequence[str]) -> np.ndarray:
        """Several columns as float64 (N, D)."""
        return np.stack([self.numbers(name) for name in names], axis=1)

    def classes(self, name: str) -> np.ndarray:
        """A column of classes: integers where all cells are whole numbers, texts otherwise."""
        column = self._column(name)
        missing = np.array([_is_missing(cell) for cell in column])
        self._refuse_missing(name, missing, column)
        texts = np.array([str(cell) for cell in column])
        whole = all(re.fullmatch(r"0|[1-9]\d{0,17}", text) for text in texts.tolist())
        return texts.astype(np.int64) if whole else texts

    def _column(self, name: str) -> Sequence:
        return self.cells[self.names.index(name)]

    def _refuse_missing(self, name: str, missing: np.ndarray, column: Sequence) -> None:
        if missing.any():
            row = int(np.flatnonzero(missing)[0])
            raise ValueError(
                f"{self.path!r}, column {name!r}, row {self.first + row}: {str(column[row])!r} is no value, one of "
                f"{int(missing.sum())} in this column; remove those rows or fill them"
            )


def read_table(path: str) -> _Cells:
    """A table file by columns. Raises ValueError that names the file, for damage, and for names that are not unique."""
    file = existing_file(path)
    if file.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path!r} is not one of {', '.join(SUFFIXES)}; save the table as .csv")
    table = (
        _parquet(path)
        if file.suffix.lower() == ".parquet"
        else _csv(path, "\t" if file.suffix.lower() == ".tsv" else None)
    )
    twice = sorted({name for name in table.names if table.names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{path!r} has {table.names.count(twice[0])} columns called {twice[0]!r}; give each its own name"
        )
    if "" in table.names:
        number = table.names.index("") + 1
        raise ValueError(f"{path!r}: column {number} has no name; name it, or save without it (pandas: index=False)")
    if not len(table.cells[0]):
        raise ValueError(f"{path!r} holds the names of its columns and no rows; check the file")
    return table


def _csv(path: str, delimiter: str | None) -> _Cells:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
        first_line = text.partition("\n")[0]
        semicolons = first_line.count(";") > first_line.count(",")
        lines = csv.reader(io.StringIO(text), delimiter=delimiter or (";" if semicolons else ","), strict=True)
        rows = [([cell.strip() for cell in row], lines.line_num) for row in lines if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path!r} cannot be read as a table ({error}); save it as UTF-8 text") from error
    if not rows:
        raise ValueError(f"{path!r} is empty; its first row names the columns")
    names = tuple(rows[0][0])
    if all(_NUMBER.fullmatch(name) for name in names):
        raise ValueError(f"{path!r} begins with a row of numbers; its first row names the columns, such as a,b,c")
    for row, line in rows[1:]:
        if len(row) != len(names):
            raise ValueError(f"{path!r}, row {line}: {len(row)} cells for {len(names)} columns; correct the row")
    return _Cells(path, names, tuple(zip(*(row for row, _ in rows[1:]), strict=True)) or ((),) * len(names), 2)


def _parquet(path: str) -> _Cells:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ValueError(
            f"{path!r} needs the package pyarrow; `pip install 'sde-diffusion[parquet]'`, or save it as .csv"
        ) from error
    try:
        table = parquet.read_table(path)
        cells = tuple(column.to_numpy() for column in table.columns)
    except Exception as error:  # what pyarrow raises for damage is of several kinds
        raise ValueError(
            f"{path!r} cannot be read as a table ({' '.join(str(error).split())}); save it again"
        ) from error
    return _Cells(path, tuple(table.column_names), cells or ((),), 0)


def _is_missing(cell: object) -> bool:
    return cell is None or cell != cell or (isinstance(cell, str) and cell.lower() in MISSING)
