"""A bar over things that are done one by one, on a terminal, gone when they are done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def ticked(things: Iterable[T], words: str, unit: str = "it", speaks: bool = True) -> Iterable[T]:
    """The things behind a bar; silent off a terminal, and where `speaks` is False."""
    from tqdm import tqdm

    from sde_diffusion.training.bar import screen

    return tqdm(things, words, unit=unit, disable=None if speaks else True, leave=False, **screen())
