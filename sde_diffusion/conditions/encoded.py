"""Texts and classes among the columns of a condition: each is a run of columns that an encoder makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from sde_diffusion.data.captions import HashedNGrams
from sde_diffusion.data.moments import Moments
from sde_diffusion.data.one_hot import OneHot
from sde_diffusion.standardization import Standardization

Encoder = HashedNGrams | OneHot
Encoders = Mapping[str, Encoder]
"""What makes numbers of a text or a class, by the name of its condition."""


def encoder_of_dict(stored: Any) -> Encoder:
    """The encoder that gave these plain data. Raises ValueError for anything else."""
    return OneHot.of_dict(stored) if isinstance(stored, dict) and "names" in stored else HashedNGrams.of_dict(stored)


def places(names: tuple[str, ...], encoders: Encoders) -> dict[str, slice]:
    """Where the columns of each encoder lie among all. Raises ValueError where they are not there, one after another."""
    found = {}
    for name, encoder in encoders.items():
        own = encoder.columns(name)
        first = names.index(own[0]) if own[0] in names else len(names)
        if names[first : first + len(own)] != own:
            raise ValueError(f"the condition {name!r} has not all of its columns {own[0]}, ..., {own[-1]}")
        found[name] = slice(first, first + len(own))
    return found


def standardised_columns(names: tuple[str, ...], rows: Tensor, encoders: Encoders) -> Standardization:
    """Mean zero and variance one; vectors of length one are multiplied by the root of their size, and keep their zeros."""
    found = Standardization.of_moments(Moments.of(rows))
    shift, scale = found.shift.clone(), found.scale.clone()
    for name, where in places(names, encoders).items():
        shift[where], scale[where] = 0.0, encoders[name].size ** -0.5
    return Standardization(shift, scale)


def with_encoded(given: Mapping[str, Any], encoders: Encoders, optional: Mapping[str, float]) -> dict[str, Any]:
    """Values by the names of all columns, with texts and classes as their columns; `optional` ones become zeros where absent.

    Raises ValueError for what is no text, or no class.
    """
    found = {name: value for name, value in given.items() if name not in encoders}
    for name, encoder in encoders.items():
        own = encoder.columns(name)
        if name in given:
            found |= dict(zip(own, encoder(_several(name, given[name], encoder)).unbind(1), strict=True))
        elif optional.get(name) and own[0] not in given:
            found |= dict.fromkeys(own, 0.0)
    return found


def is_words(value: Any) -> bool:
    """Whether a column is one of texts, which are classes."""
    found = None if isinstance(value, Tensor) else np.asarray(value)
    return found is not None and (
        found.dtype.kind in "US" or all(isinstance(one, str) for one in found.ravel().tolist())
    )


def _several(name: str, value: Any, encoder: Encoder) -> Sequence[Any]:
    """One value, or one for each sample, as a list."""
    if isinstance(value, Tensor | np.ndarray) or hasattr(value, "to_numpy"):
        value = np.asarray(value).tolist()
    found = list(value) if isinstance(value, list | tuple) else [value]
    if isinstance(encoder, HashedNGrams) and not all(isinstance(one, str) for one in found):
        raise ValueError(f"the condition {name!r} is a text, or one for each sample, got {str(value)[:80]!r}")
    return found
