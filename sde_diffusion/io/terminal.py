"""Progress bars on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def progress_bar(things: Iterable[T], words: str, unit: str = "it", speaks: bool = True) -> Iterable[T]:
    """The things behind a bar that is removed at the end; silent off a terminal, and where `speaks` is False."""
    from tqdm import tqdm

    return tqdm(things, words, unit=unit, disable=None if speaks else True, leave=False, **tqdm_options())


def tqdm_options() -> dict[str, Any]:
    """tqdm's options: follow the terminal's width, or take a usual one where it says that it has none.

    So do terminals in some containers, and tqdm would draw nothing there.
    """
    try:
        known = all(os.get_terminal_size(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):
        known = True
    return {"dynamic_ncols": True} if known else {"ncols": 100, "nrows": 20}
