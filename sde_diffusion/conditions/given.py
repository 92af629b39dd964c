"""What the network takes beside x and the noise level, one row for each sample: checked, and moved to its device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.conditions.columns import CONDITION, CONTEXT, ConditionColumns

Names = tuple[str, ...]
GUIDES = {"guidance", "guidance_scale", "cfg", "cfg_scale"}
"""What other programs call the weight of guidance."""


def conditions(
    n: int,
    given: Mapping[str, Any],
    class_names: Names | None,
    device: torch.device | str = "cpu",
    columns: ConditionColumns | None = None,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """The conditions of n samples as the network takes them; those that are None are left out.

    Args:
        given: `label`, a class by its number or its name or n of them; `condition`, numbers for the columns, see
            `ConditionColumns.rows`; others by their names, tensors (n, ...).
        class_names: one name for each label; None for a model that takes none.
        columns: what `condition` is; None for a model that takes none.
        dtype: of the network's numbers.

    Raises:
        ValueError: a class that there is none of, a label or a condition for a model without, another number of rows than
            n, no condition for a model that always needs one.
    """
    if asked_to_guide := GUIDES & given.keys():
        raise TypeError(f"{min(asked_to_guide)} is no condition; write model.guided('cfg(weight=3)').sample(...)")
    known = {name: value for name, value in given.items() if value is not None}
    numbers = known.pop(CONDITION, None)
    asked = numbers is not None or (columns is not None and CONTEXT not in known)
    more = _context(n, numbers, columns, device, dtype) if asked else {}
    return more | {
        name: _labels(n, v, class_names, device) if name == "label" else _rows(n, name, v, device)
        for name, v in known.items()
    }


def _context(
    n: int, value: Any, columns: ConditionColumns | None, device: torch.device | str, dtype: torch.dtype
) -> dict[str, Tensor]:
    if columns is None:
        raise ValueError("this model takes no condition; make one with for_data(x, condition=...)")
    if value is None:
        columns.refuse_none()
        return {}
    rows = columns.rows(n, value)
    columns.warn_if_far(rows)
    return {CONTEXT: columns.context(rows).to(device, dtype)}


def _rows(n: int, name: str, value: Any, device: torch.device | str) -> Tensor:
    rows = torch.as_tensor(value)
    if rows.ndim == 0 or len(rows) != n:
        raise ValueError(f"{name} has one row for each of the {n} samples, got shape {tuple(rows.shape)}; expand it")
    return rows.to(device)


def _labels(n: int, value: Any, names: Names | None, device: torch.device | str) -> int | Tensor:
    if names is None:
        raise ValueError("this model is unconditional and takes no label; make one with for_data(x, labels=...)")
    values = value.tolist() if isinstance(value, Tensor | np.ndarray) else value
    if isinstance(values, str) or not isinstance(values, Iterable):
        return class_number(values, names)
    found = [class_number(one, names) for one in values]
    if len(found) != n:
        raise ValueError(f"label is one class, or one for each of the {n} samples, got {len(found)}")
    return torch.tensor(found, device=device)


def class_number(value: Any, names: Names) -> int:
    """The number of a class from its number or its name; ValueError for a class that there is none of."""
    known = f"known: {', '.join(names[:20])}"
    if isinstance(value, str) and value in names:
        return names.index(value)
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        raise ValueError(f"no class is called {value!r}; {known}")
    if not isinstance(value, Integral | str):
        raise ValueError(f"a label is a class's number or its name, got {value!r}; {known}")
    number = int(value)
    if not 0 <= number < len(names):
        raise ValueError(f"labels lie in 0 .. {len(names) - 1}, got {number}; {known}")
    return number
