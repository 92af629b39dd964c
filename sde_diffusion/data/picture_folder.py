"""The files of a folder of pictures: which are pictures by their suffix, and what is passed over."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sde_diffusion.data.pictures import SUFFIXES

LITTER = frozenset(
    (
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
        "__macosx",
        "$recycle.bin",
        "system volume information",
        "@eadir",
    )
)
"""Names, in lower case, of what operating systems and archives leave in folders."""

NAMED = 20
"""How many bad files one error names."""


@dataclass(frozen=True)
class Listing:
    """The pictures below a folder as paths relative to it, with forward slashes, sorted; and the others, by suffix."""

    pictures: tuple[str, ...]
    passed_over: dict[str, int]


def listing(root: str | Path) -> Listing:
    """What a folder holds at any depth. Links to folders are followed; one that leads back to a folder above is not.

    Hidden files and folders, whose names begin with a dot, and those in `LITTER` count as "hidden", a folder once. Raises
    OSError for a folder that cannot be read.
    """
    pictures: list[str] = []
    others: Counter[str] = Counter()
    _walk(Path(root), "", (), pictures, others)
    return Listing(tuple(sorted(pictures)), dict(sorted(others.items())))


def flat(folder: Path) -> list[Path]:
    """The pictures that lie in a folder itself, sorted by their names; sub-folders are not entered."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not is_litter(path.name))


def is_litter(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or left by an operating system or a program."""
    return name.startswith(".") or name.casefold() in LITTER


def _walk(folder: Path, prefix: str, above: tuple[str, ...], pictures: list[str], others: Counter[str]) -> None:
    here = os.path.realpath(folder)
    if here in above:
        others["link to a folder above"] += 1
        return
    for entry in os.scandir(folder):
        if is_litter(entry.name):
            others["hidden"] += 1
        elif entry.is_dir():
            _walk(folder / entry.name, f"{prefix}{entry.name}/", (*above, here), pictures, others)
        elif (suffix := os.path.splitext(entry.name)[1].lower()) in SUFFIXES:
            pictures.append(prefix + entry.name)
        else:
            others[suffix or "no suffix"] += 1


def key(name: str) -> bytes:
    """What a file is to the split: its path below the folder, the same on every system (Unicode's form NFC)."""
    return unicodedata.normalize("NFC", name).encode("utf-8", "surrogateescape")


def class_of(name: str) -> str | None:
    """The class of a file: the first folder on its path, None for a file outside any."""
    first, slash, _ = name.partition("/")
    return first if slash else None


def counted(counts: dict[str, int]) -> str:
    """Counts in words, the largest first: "3 .avif, 2 .txt"."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def refuse_bad(errors: Sequence[Exception], root: str) -> None:
    """Raise one ValueError for bad files of a folder, if there are any: the first's own sentence and the others'."""
    if not errors:
        return
    if len(errors) == 1:
        raise errors[0]
    words = "; ".join(str(error).removesuffix("; remove or replace it") for error in errors[:NAMED])
    more = f"; and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
    raise ValueError(f"{len(errors)} files of {root!r} are bad: {words}{more}; remove or replace them") from errors[0]
