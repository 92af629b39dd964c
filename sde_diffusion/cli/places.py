"""Where runs live: `runs/NAME` below the working directory, or the folder that `--output` says."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

RUNS = Path("runs")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def run_name(name: str) -> str:
    """The name itself; ValueError unless it is one harmless component of a path."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise ValueError(
            f"a run's name is 1 to 100 letters, digits, '.', '_' or '-', a letter or a digit first, got {shown!r}; "
            "for a folder elsewhere give --output"
        )
    return name


def new_folder(name: str, output: str | None) -> Path:
    """`output`, or runs/NAME; ValueError for a bad name or for a link in its place, which could lead anywhere."""
    if output is not None:
        return folder_of(output)
    path = RUNS / run_name(name)
    if path.is_symlink():
        raise ValueError(f"{path} is a symbolic link, and a run's folder is a folder; give --output its target")
    return path


def folder_of(output: str) -> Path:
    """The path that --output says; ValueError for one that no system takes."""
    if not output or "\0" in output or len(output) > 4000:
        raise ValueError(f"--output is a path, got {output[:40]!r}; give a folder")
    return Path(output)


def run_folder(run: str) -> Path:
    """The folder of a run, or of a shared model, by its name or its path; ValueError with the nearest name when there is none."""
    if not run or "\0" in run or len(run) > 4000:
        raise ValueError(f"a run is a name below {RUNS} or a path, got {run[:40]!r}")
    for path in (RUNS / run, Path(run)):
        if any((path / name).is_file() for name in ("config.json", "model_index.json")):
            return path
    known = sorted(path.parent.name for path in RUNS.glob("*/config.json"))
    near = difflib.get_close_matches(run, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}; `train` makes one"
    raise ValueError(f"there is no run {run!r}; {hint}")
