"""Folders of results: each says how it was made, and is not written over by what was made otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sde_diffusion.training.files import replace_file, to_json
from sde_diffusion.training.run_folder import environment

MADE = "made.json"


def claim(folder: Path, command: str, settings: dict[str, Any]) -> Path:
    """The folder, made if need be, with `made.json` in it: the command, its settings, versions and git state.

    A folder of the same command and settings is taken again, its files to be written anew. Raises ValueError for a
    folder that holds something else.
    """
    wanted = json.loads(json.dumps({"command": command, "settings": settings}, default=str))
    folder.mkdir(parents=True, exist_ok=True)
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
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged; move the folder away or give another --output") from error


def _difference(there: dict[str, Any], wanted: dict[str, Any]) -> str:
    if there.get("command") != wanted["command"]:
        return f"it was made by {there.get('command')}"
    old, new = dict(there.get("settings") or {}), wanted["settings"]
    name = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
    return f"{name} is {old.get(name)} there and {new.get(name)} here"
