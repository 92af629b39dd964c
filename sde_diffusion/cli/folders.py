"""Where runs live (`runs/NAME` below the working directory, or the folder that `--output` names), and folders of results.

Each folder of results records how it was made; results of another command or of other settings are not overwritten.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sde_diffusion.io.atomic import replace_file, to_json
from sde_diffusion.io.lock import refuse_link, refuse_links
from sde_diffusion.io.plain import as_read_back, read_json
from sde_diffusion.specs import nearest
from sde_diffusion.training.run_folder import environment

RUNS = Path("runs")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def run_name(name: str) -> str:
    """The name itself; ValueError unless it is one harmless component of a path."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise ValueError(
            f"a run's name is 1 to 100 letters, digits, '.', '_' or '-', a letter or a digit first, got {shown!r}; "
            "for another place give --output FOLDER"
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
    raise ValueError(f"there is no run {run!r}; {nearest(run, known)}; `train` makes one")


def below(run: Path, *names: str) -> Path:
    """A place for results in a run's folder; ValueError where a link on the way would lead out of it."""
    path = run
    for name in names:
        path = path / name
        refuse_link(path)
    return path


def ending(checkpoint: str | None) -> str:
    """What the folder of results of another checkpoint than the newest has at the end of its name."""
    return "" if checkpoint is None else f"-{run_name(checkpoint)}"


MADE = "made.json"


def claim_output_folder(folder: Path, command: str, settings: dict[str, Any]) -> Path:
    """The folder, made if need be, with `made.json` in it: the command, its settings, versions and git state.

    A folder of the same command and settings is taken again, its files to be written anew. Raises ValueError for a
    folder that holds something else, or a link to somewhere else.
    """
    wanted = as_read_back({"command": command, "settings": settings}, default=str)
    folder.mkdir(parents=True, exist_ok=True)
    refuse_links(folder)
    there = _made(folder)
    if there is None and any(not entry.name.startswith(".") for entry in folder.iterdir()):
        raise ValueError(f"{folder} holds files that this command did not make; give another --output")
    if there is not None and {key: there.get(key) for key in wanted} != wanted:
        raise ValueError(f"{folder} holds another run ({_difference(there, wanted)}); give another --output")
    replace_file(folder / MADE, to_json({**wanted, "made_with": environment()}))
    return folder


def _made(folder: Path) -> dict[str, Any] | None:
    path = folder / MADE
    if not path.exists():
        return None
    try:
        return dict(read_json(path))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged; move the folder away or give another --output") from error


def _difference(there: dict[str, Any], wanted: dict[str, Any]) -> str:
    if there.get("command") != wanted["command"]:
        return f"it was made by {there.get('command')}"
    old, new = dict(there.get("settings") or {}), wanted["settings"]
    name = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
    return f"{name} is {old.get(name)} there and {new.get(name)} here"
