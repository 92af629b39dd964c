"""Data sets in folders on the disk: where they are, and what goes wrong in reading them as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def absolute(root: str) -> str:
    """A folder's absolute path, `~` expanded, links kept."""
    return str(Path(root).expanduser().absolute())


@contextmanager
def reading(name: str, root: str, download: bool = False) -> Iterator[None]:
    """Turn what goes wrong inside into a ValueError that names the data set, its folder and the remedy.

    torchvision checks the md5 sums of what it downloads, and of CIFAR-10's pickles before it opens them.
    """
    try:
        yield
    except (RuntimeError, AssertionError, OSError, EOFError, ValueError) as error:
        words = _first_line(error)
        raise ValueError(f"{name} cannot be read from {str(root)!r} ({words}); {_remedy(words, download)}") from error


def _remedy(words: str, download: bool) -> str:
    """What to do, by the first line of the error, torchvision's or our own."""
    if download:
        return "check the connection and the disk"
    if "download=True" in words:
        return "check the folder, or fetch the files with download=True, on the command line --data.download true"
    return "check the folder"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
