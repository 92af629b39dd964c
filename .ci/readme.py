"""Prints a command of README.md, so that CI runs what the README says and nothing else.

The README holds, between `<!-- NAME -->` and `<!-- /NAME -->`, one fenced block with one line of shell.

    python3 .ci/readme.py README.md NAME            the line as it stands
    python3 .ci/readme.py README.md NAME --reuse    the line less its `python3 -m venv ...`: the environment is there
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

FENCED = re.compile(r"^```[a-z]*\n(.*?)^```[ ]*$", re.DOTALL | re.MULTILINE)
MAKES_ENVIRONMENT = re.compile(r"python3? -m venv \S+")


def command(text: str, name: str) -> str:
    """The one line of shell between the markers `name`; ValueError if it is not exactly one."""
    sections = re.findall(rf"<!-- {re.escape(name)} -->\n(.*?)<!-- /{re.escape(name)} -->", text, re.DOTALL)
    blocks = [block for section in sections for block in FENCED.findall(section)]
    lines = [line.strip() for block in blocks for line in block.splitlines() if line.strip()]
    if len(sections) != 1 or len(blocks) != 1 or len(lines) != 1:
        raise ValueError(
            f"the README has {len(sections)} sections, {len(blocks)} fenced blocks and {len(lines)} lines of shell "
            f"between <!-- {name} --> and <!-- /{name} -->; CI runs one line from one block of one section: restore it"
        )
    return lines[0]


def without_environment(line: str) -> str:
    """The line less the part that makes the virtual environment; ValueError if there is no such part, or only that."""
    parts = line.split(" && ")
    kept = [part for part in parts if not MAKES_ENVIRONMENT.fullmatch(part.strip())]
    if len(kept) != len(parts) - 1 or not kept:
        raise ValueError(
            f"the README's line {line!r} should make its environment once: write it as `python3 -m venv .venv && ...`"
        )
    return " && ".join(kept)


def main(arguments: list[str]) -> str:
    """The text to print for the command line's arguments; ValueError or OSError if there is none."""
    paths, reuse = [a for a in arguments if a != "--reuse"], "--reuse" in arguments
    if len(paths) != 2:
        raise ValueError(f"{len(paths)} arguments came, and README and NAME are needed: see the head of this file")
    line = command(Path(paths[0]).read_text(encoding="utf-8"), paths[1])
    return without_environment(line) if reuse else line


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except (ValueError, OSError) as error:
        sys.exit(f".ci/readme.py: {error}")
