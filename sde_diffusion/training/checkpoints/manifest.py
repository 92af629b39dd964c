"""Folders named by their step, each with a list of its files and their SHA-256: written last, checked before a byte is
interpreted.

No file format of ours notices a flipped bit; a digest does. The list vouches for itself too: it has one spelling, and
carries the digest of the rest of it. It detects corruption; it does not authenticate: anybody can write a list.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sde_diffusion.io.atomic import sync, to_json
from sde_diffusion.io.plain import parse_json

NAME = "manifest.json"
FORMAT = "sde_diffusion checkpoint"
VERSION = 1
_LONGEST = 2**20
_STEP = re.compile(r"step-(\d{6,})")


class CheckpointError(ValueError):
    """A checkpoint that is damaged, foreign or of another run."""


def write(folder: Path, step: int) -> None:
    """Synchronise the files of `folder` with the disk, then list them."""
    paths = sorted(folder.iterdir())
    for path in paths:
        sync(path)
    body = {"files": {path.name: _facts(path) for path in paths}, "format": FORMAT, "step": step, "version": VERSION}
    (folder / NAME).write_bytes(to_json(body | {"sha256": _digest(body)}))
    sync(folder / NAME)


def place(folder: Path, step: int) -> Path:
    """`folder/step-NNNNNN`."""
    return Path(folder) / f"step-{step:06d}"


def places(folder: Path) -> dict[int, Path]:
    """Those in a folder by step, in rising order, verified or not; none where there is no folder.

    Raises OSError for a folder that cannot be read: it is not one without any.
    """
    if not os.path.lexists(folder):
        return {}
    named = [(path, _STEP.fullmatch(path.name)) for path in Path(folder).iterdir()]
    return dict(sorted((int(match[1]), path) for path, match in named if match))


def newest_whole(folder: Path, verify: Callable[[Path], object]) -> Path | None:
    """The newest of the `places` that `verify` lets pass; None when there are none at all.

    Warns with a sentence for each newer one that is damaged. Raises CheckpointError when all are; nothing is deleted.
    """
    wrong: list[str] = []
    for path in reversed(places(folder).values()):
        try:
            verify(path)
        except CheckpointError as error:
            wrong.append(str(error))
        else:
            for sentence in wrong:
                warnings.warn(f"{sentence}; falling back to {path.name}", stacklevel=3)
            return path
    if wrong:
        raise CheckpointError(
            f"none of the {len(wrong)} checkpoints in {folder} is whole (the newest: {wrong[0]}); "
            "restore one from a backup, or move them away to begin again"
        )
    return None


def step_of(path: Path) -> int:
    """The step of a `place`."""
    return int(path.name.removeprefix("step-"))


def verify(folder: Path, needed: set[str], further: str = r"(?!)") -> set[str]:
    """The names in the list of a `place`: all `needed` ones, and else only what fits the pattern `further`.

    Raises CheckpointError unless each of the files is as it was written, for the step that the folder is named after.
    """
    try:
        body = _read(folder / NAME)
        names = set(body["files"])
        if needed - names or not all(re.fullmatch(further, name) for name in names - needed):
            raise CheckpointError(f"{folder / NAME} is foreign: it does not list {', '.join(sorted(needed))} alone")
        for name in sorted(names):
            _compare(folder / name, body["files"][name])
    except OSError as error:
        raise CheckpointError(f"{error.filename or folder} cannot be read ({error.strerror})") from error
    if folder != place(folder.parent, body["step"]):
        raise CheckpointError(f"{folder} holds step {body['step']}, which its name denies; rename it back")
    return names


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = path.read_bytes() if path.stat().st_size <= _LONGEST else b""
        whole = parse_json(raw, _LONGEST)
        body = {name: value for name, value in whole.items() if name != "sha256"}
        own = to_json(whole) == raw and whole["sha256"] == _digest(body)
    except (ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(f"{path} is damaged or foreign: it is no list of a checkpoint's files") from error
    if not own:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not its own")
    typed = isinstance(body.get("files"), dict) and isinstance(body.get("step"), int)
    if not typed or (body.get("format"), body.get("version")) != (FORMAT, VERSION):
        raise CheckpointError(f"{path} is foreign: it is not a {FORMAT} of version {VERSION}")
    return body


def _compare(path: Path, listed: Any) -> None:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing")
    size = path.stat().st_size
    if not isinstance(listed, dict) or size != listed.get("bytes"):
        raise CheckpointError(f"{path} is damaged: its {size} bytes are not those that {NAME} lists")
    if _facts(path) != listed:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one in {NAME}")


def _facts(path: Path) -> dict[str, Any]:
    with open(path, "rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(to_json(body)).hexdigest()
