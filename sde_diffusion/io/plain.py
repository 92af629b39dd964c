"""JSON from anybody, read in one place: of a bounded length, not deep, and where it describes something an object of few values.

Nothing here needs torch.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LONGEST = 2**20  # bytes of a file of plain data
LARGEST = 2**20  # the largest whole number among a network's arguments: a width, a number of classes
DEEPEST, MOST = 8, 20_000  # how deep its lists and mappings go, and how many values it holds
DEEPEST_RECORD, LONGEST_RECORD = 64, 2**28  # the same of what a run or a command writes about itself, in bytes


def parse_json(text: bytes, longest: int = LONGEST_RECORD, deepest: int = DEEPEST_RECORD) -> Any:
    """The value of a JSON text. Raises ValueError for one of more bytes, deeper lists and mappings, or no JSON at all."""
    if len(text) > longest:
        raise ValueError(f"it is longer than {longest} bytes")
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if any(depth > deepest for _, depth in _values(found)):
        raise ValueError(f"it is nested deeper than {deepest}")
    return found


def read_json(path: Path, longest: int = LONGEST_RECORD) -> Any:
    """The value of a JSON file, read when it is a file of at most `longest` bytes.

    Raises OSError for a file that cannot be read, ValueError for anything else that is none.
    """
    size = path.stat().st_size
    if not path.is_file() or size > longest:
        raise ValueError(f"it is no file of at most {longest} bytes")
    return parse_json(path.read_bytes(), longest)


def read_plain(path: Path) -> dict[str, Any]:
    """The JSON object in a file, small and not deep. Raises ValueError, in a sentence, for anything else."""
    try:
        found = read_json(path, LONGEST)
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
        check_size(found)
    except (OSError, ValueError) as error:
        words = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ValueError(f"{path} cannot be read ({words[:1].lower()}{words[1:]}); take an undamaged copy") from error
    return found


def as_read_back(value: Any, default: Callable[[Any], Any] | None = None) -> Any:
    """The value as it will be read from a file: tuples as lists, keys as texts; what JSON lacks as `default` has it.

    Raises TypeError or ValueError for what JSON cannot hold.
    """
    return json.loads(json.dumps(value, default=default))


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Dotted names and JSON spellings of what plain data hold: {"a": {"b": 1}} -> {"a.b": "1"}."""
    if isinstance(value, dict) and value:
        parts = [flat(part, f"{prefix}.{key}" if prefix else key) for key, part in value.items()]
        return {key: spelling for part in parts for key, spelling in part.items()}
    return {prefix: json.dumps(value)}


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
