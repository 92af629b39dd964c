"""A table of one's own in a file, .csv, .tsv or .parquet: numeric columns are the samples, others their class and condition."""

from __future__ import annotations

import csv
import importlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sde_diffusion.data.labels import Labels, labels_of_file
from sde_diffusion.data.own_data import Contents, OwnData, existing_file

SUFFIXES = (".csv", ".tsv", ".parquet")
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")
"""Cells, in small letters, that hold no value."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class TableFile(OwnData):
    """The rows of a table with named columns, (D,) numbers each in the table's units, in the order of the file.

    `label` names the column of the classes, texts or integers, `condition` numeric columns that the others are conditioned
    on. `columns` are the numeric ones to take, by default all that are neither. `held_out`, `seed`: the share of the rows that
    is kept from training, and the key of the hash that picks it.
    """

    path: str
    label: str | None = None
    columns: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """A name alone is a list of one."""
        for field in ("columns", "condition"):
            if isinstance(getattr(self, field), str):
                object.__setattr__(self, field, (getattr(self, field),))

    @property
    def place(self) -> str:
        """The file."""
        return self.path

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the D columns."""
        others = {self.label, *self.condition}
        return tuple(self.columns) or tuple(name for name in self._table.names if name not in others)

    @property
    def condition_names(self) -> tuple[str, ...] | None:
        """The names of the columns of the condition."""
        return tuple(self.condition) or None

    def read(self) -> Contents:
        """The numeric columns, the labels and the conditions."""
        table, used = self._table, (*self.column_names, *self.condition, self.label)
        unused = [name for name in table.names if name not in used]
        notes = (f"columns left out: {', '.join(unused)}",) if unused else ()
        values, given = table.array(self.column_names), table.array(self.condition) if self.condition else None
        return Contents(values, self._labels(), notes=notes, condition=given)

    def _labels(self) -> Labels | None:
        if self.label is None:
            return None
        try:
            return labels_of_file(self._table.classes(self.label))
        except ValueError as error:
            raise ValueError(f"{self.path!r}, column {self.label!r}: {error}") from error

    @cached_property
    def _table(self) -> _Cells:
        table = read_table(self.path)
        for name in (*self.columns, *self.condition, *filter(None, [self.label])):
            if name not in table.names:
                raise ValueError(
                    f"{self.path!r} has no column {name!r}, but {', '.join(table.names)}; name one of these"
                )
        if self.label in self.columns or len(table.names) == (self.label is not None):
            raise ValueError(
                f"{self.path!r}: {self.label!r} is the label and no number of a sample; name other columns"
            )
        _check_condition(self, table.names)
        return table


def _check_condition(source: TableFile, names: tuple[str, ...]) -> None:
    """Raises ValueError for a column of the condition that is another thing as well, and where no column is left."""
    twice = [name for name in source.condition if name in (*source.columns, source.label)]
    twice += [name for name in source.condition if source.condition.count(name) > 1]
    if twice:
        raise ValueError(f"{source.path!r}: {twice[0]!r} is a column of the condition and named again; name it once")
    if source.condition and set(names) <= {*source.condition, source.label}:
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
