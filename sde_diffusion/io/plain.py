"""JSON from anybody: small, not deep, and an object.

Nothing here needs torch.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LONGEST = 2**20  # bytes of a file of plain data
LARGEST = 2**20  # the largest whole number among a network's arguments: a width, a number of classes
DEEPEST, MOST = 8, 20_000  # how deep its lists and mappings go, and how many values it holds


def read_plain(path: Path) -> dict[str, Any]:
    """The JSON object in a file, small and not deep. Raises ValueError, in a sentence, for anything else."""
    try:
        if not path.is_file() or path.stat().st_size > LONGEST:
            raise ValueError(f"there is no such file of at most {LONGEST} bytes")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
        check_size(found)
    except (OSError, ValueError, RecursionError) as error:
        words = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValueError(f"{path} cannot be read ({words}); take an undamaged copy") from error
    return found


def check_size(whole: Any) -> None:
    """Raises ValueError for data that hold more, or go deeper, than any description of a network."""
    for count, (_, depth) in enumerate(_values(whole)):
        if depth > DEEPEST or count >= MOST:
            raise ValueError(f"it holds more than {MOST} values, or nests them deeper than {DEEPEST}")


def check_numbers(whole: Any) -> None:
    """Raises ValueError for arguments with a whole number that no network needs, or a number that is not finite."""
    for value, _ in _values(whole):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"it holds a whole number beyond {LARGEST}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it holds a number that is not finite")


def _values(whole: Any) -> Iterator[tuple[Any, int]]:
    """All values in plain data with their depth, the outermost first."""
    rest = deque([(whole, 0)])
    while rest:
        value, depth = rest.popleft()
        yield value, depth
        if isinstance(value, dict | list | tuple):
            rest.extend((part, depth + 1) for part in (value.values() if isinstance(value, dict) else value))
