"""Data: laws on the plane, small images that need no download, and the usual image sets behind one interface.

    source = by_name("digits")
    x, labels = source.tensors("train")                                     # (1437, 1, 8, 8) in [-1, 1], (1437,)
    x, labels = source.batch(indices(seed=0, step=7, batch_size=64, n=source.size()))

A new source is a new file with a concrete `DataSource`; it is found by walking this package.
"""

from __future__ import annotations

from typing import Any

from sde_diffusion.data.base import DataSource, validate
from sde_diffusion.data.law import Law
from sde_diffusion.data.order import indices
from sde_diffusion.plugins import find, implementations

__all__ = ["DataSource", "Law", "by_name", "indices", "names", "validate"]


def names() -> list[str]:
    """The names of all data sources, sorted."""
    return list(implementations(__name__, DataSource))


def by_name(name: str, **options: Any) -> DataSource:
    """The source called `name`, built with `options`; ValueError for an unknown name, TypeError for a wrong option."""
    return find(__name__, DataSource, name)(**options)
