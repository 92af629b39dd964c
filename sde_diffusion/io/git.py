"""The commit of a git repository, read from its files.

No git command is run: one that looks at the work tree runs the programs that the repository itself names (filters, monitors,
hooks), and a repository may come from anybody. Whether the work tree differs from the commit is therefore not said.
"""

from __future__ import annotations

import re
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"refs/[A-Za-z0-9][A-Za-z0-9._/+@-]{0,200}")
_LONGEST = 2**24


def commit(folder: Path) -> str | None:
    """The commit that is checked out where `folder` lies; None without a repository, a commit, or files that say so."""
    try:
        home = _home(folder.resolve())
        return None if home is None else _resolve(home)
    except (OSError, ValueError):
        return None


def _home(folder: Path) -> Path | None:
    """The repository's folder: `.git` in this folder or one above, or where a file of that name points."""
    for place in (folder, *folder.parents):
        found = place / ".git"
        if found.is_dir():
            return found
        if found.is_file():
            kind, _, target = _read(found).partition(":")
            return place / target.strip() if kind == "gitdir" else None
    return None


def _resolve(home: Path) -> str | None:
    head = _read(home / "HEAD").strip()
    if _HASH.fullmatch(head):
        return head
    name = head.removeprefix("ref:").strip()
    if not _REF.fullmatch(name) or ".." in name:
        return None
    shared = home / "commondir"
    places = [home, home / _read(shared).strip()] if shared.is_file() else [home]
    for place in places:
        if (place / name).is_file():
            value = _read(place / name).strip()
            return value if _HASH.fullmatch(value) else None
    return next((found for place in places if (found := _packed(place / "packed-refs", name))), None)


def _packed(path: Path, name: str) -> str | None:
    lines = _read(path).splitlines() if path.is_file() else []
    pairs = [line.split(" ") for line in lines]
    return next((pair[0] for pair in pairs if pair[1:] == [name] and _HASH.fullmatch(pair[0])), None)


def _read(path: Path) -> str:
    """A file of a size that git writes; ValueError for another one."""
    if not path.is_file() or path.stat().st_size > _LONGEST:
        raise ValueError(f"{path} is not a file of git")
    return path.read_text(encoding="utf-8")
