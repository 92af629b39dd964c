"""Conditions for samples in a file: a table with the columns of the condition, or an array."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.conditions import ConditionColumns


def rows_of_file(path: str, columns: ConditionColumns) -> Tensor:
    """The numbers (N, K) of a condition's columns, texts and classes in a .csv, .tsv or .parquet, which may have others.

    Or those of an array (N, K).

    Raises ValueError for a text that is no file of these kinds, and for a table that lacks a column.
    """
    import torch

    from sde_diffusion.data import array_file, table_file

    names = columns.names
    suffix = Path(path).suffix.lower()
    if suffix in table_file.SUFFIXES:
        table = table_file.read_table(path)
        given = columns.given_names()
        missing = [name for name in given if name not in table.names]
        if missing:
            raise ValueError(f"{path!r} has no column {missing[0]!r}, but {', '.join(table.names)}; add it")
        read = {name: table.classes if name in columns.encoders else table.numbers for name in given}
        return columns.rows(table.size, {name: one(name) for name, one in read.items()})
    if suffix not in array_file.SUFFIXES:
        example = ", ".join(f"{name}: 1.5" for name in names)
        raise ValueError(
            f"{path[:80]!r} is no condition; write '{{{example}}}', or name a file with a row for each sample "
            f"({', '.join((*table_file.SUFFIXES, *array_file.SUFFIXES))})"
        )
    arrays = array_file.read_arrays(path)
    if len(arrays) != 1:
        raise ValueError(f"{path!r} holds {len(arrays)} arrays; save the one of the conditions")
    found = next(iter(arrays.values()))
    rows = found[:, None] if found.ndim == 1 else found
    if rows.ndim != 2 or rows.dtype.kind not in "iuf" or rows.shape[1] != len(names):
        raise ValueError(
            f"{path!r} holds {rows.dtype} of shape {found.shape}; save numbers (N, {len(names)}): {', '.join(names)}"
        )
    return torch.from_numpy(rows.astype("float64"))
