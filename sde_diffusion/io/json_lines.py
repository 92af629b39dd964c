"""A run's numbers over time: one JSON object a line, with the `step` and what was found at it.

The loop's reports have a `loss`, the lines of callbacks names of their own: a reader takes the lines that have its name.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from sde_diffusion.io.atomic import named, replace_file
from sde_diffusion.io.lock import refuse_link
from sde_diffusion.io.plain import LONGEST, parse_json


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a line. A number that JSON does not know, NaN or infinity, becomes null.

    Raises OSError with the file's name, ValueError for a link in its place.
    """
    known = {name: _known(value) for name, value in record.items()}
    refuse_link(path)
    with named(path), open(path, "a", encoding="utf-8", opener=_no_link) as file:
        file.write(json.dumps(known, allow_nan=False) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, none when there is no file; a last line that a crash cut short is left out.

    Raises ValueError for a line in the middle that is no JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    records = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            records.append(dict(parse_json(line, LONGEST)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number} of {path} is no JSON object; repair or remove it") from error
    return records


def truncate_after(path: Path, step: int) -> None:
    """Leave out what was written after `step`: a resumed run writes it again."""
    records = read(path)
    kept = [record for record in records if record.get("step", 0) <= step]
    if path.exists() and path.read_bytes() != (content := _lines(kept)):
        replace_file(path, content)


def _no_link(path: str, flags: int) -> int:
    """Open a file that is no link, even one that has just been put there."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
