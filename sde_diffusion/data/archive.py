"""Data sets in folders on the disk: where they are, and what goes wrong in reading them as one sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any


class OnDisk:
    """A source of files below a folder `root`: a dataclass, or a class that keeps what it was called with as `arguments`."""

    root: str
    arguments: Mapping[str, Any]

    def resolved(self) -> Any:
        """The same source with an absolute `root`, which names the same folder from every working directory."""
        return type(self)(**{**arguments_of(self), "root": absolute(self.root)})


def arguments_of(source: Any) -> dict[str, Any]:
    """What a source of files was called with, by name."""
    if is_dataclass(source):
        return {field.name: getattr(source, field.name) for field in fields(source)}
    return dict(source.arguments)


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
    """What to do, by the first line of torchvision's error."""
    if download:
        return "check the connection and the disk"
    if "download=True" in words:
        return "check the folder, or fetch the files with download=True, on the command line --data.download true"
    return "check the folder"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
