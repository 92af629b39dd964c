"""What a stage has found so far, in a file that is replaced at every entry: a stage that is stopped keeps what it has.

figures    a number by its name; the goals look them up
tables     a title, columns and rows of text
notes      sentences
parts      what became of each part: "begun", "done", or a sentence
pictures   names of files beside the record
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sde_diffusion.io.atomic import replace_file, to_json

BEGUN, DONE = "begun", "done"
LONGEST = 300
"""Characters of a sentence."""


class Record:
    """The file NAME.json of a stage."""

    def __init__(self, path: Path) -> None:
        """What an earlier process of the same stage has written is kept."""
        self.path = path
        self.found: dict[str, Any] = {"figures": {}, "tables": [], "notes": [], "parts": {}, "pictures": []} | read(
            path
        )

    def write(self, **entries: Any) -> None:
        """Replace entries, and the file."""
        self.found |= entries
        replace_file(self.path, to_json(self.found))

    def figure(self, name: str, value: float) -> None:
        """A number by its name; one that is not finite is left out."""
        if math.isfinite(value):
            self.write(figures=self.found["figures"] | {name: float(value)})

    def best(self, name: str, value: float) -> None:
        """A number of which the largest one counts."""
        self.figure(name, max(value, self.found["figures"].get(name, value)))

    def row(self, title: str, columns: Sequence[str], row: Sequence[str]) -> None:
        """One more row of the table of this title."""
        tables = self.found["tables"]
        table = next((one for one in tables if one["title"] == title), None)
        if table is None:
            table = {"title": title, "columns": list(columns), "rows": []}
            tables.append(table)
        table["rows"].append([str(cell) for cell in row])
        self.write()

    def note(self, sentence: str) -> None:
        """A sentence."""
        self.write(notes=[*self.found["notes"], sentence])

    def part(self, name: str, state: str) -> None:
        """What has become of a part."""
        self.write(parts=self.found["parts"] | {name: state})

    def picture(self, path: Path) -> None:
        """A file beside the record."""
        self.write(pictures=[*self.found["pictures"], path.name])


def read(path: Path) -> dict[str, Any]:
    """The entries of a record; none where there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def sentence(error: BaseException) -> str:
    """The kind of an error and its first line, without the folders of this machine."""
    words = " ".join(str(error).split("\n\n")[0].split())
    return f"{type(error).__name__}: {without_folders(words)}"[:LONGEST]


def without_folders(text: str) -> str:
    """The text with the last part alone of every absolute path."""
    return re.sub(r"(?<![\w./:-])/(?:[\w.+@-]+/)+", "", text)
