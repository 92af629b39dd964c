"""Reading data sets through torchvision: its many kinds of failure become one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reading(name: str, root: str, download: bool = False) -> Iterator[None]:
    """Turn what goes wrong inside into a ValueError that names the data set, its folder and the remedy.

    torchvision checks the md5 sums of what it downloads, and of CIFAR-10's pickles before it opens them.
    """
    try:
        yield
    except (RuntimeError, AssertionError, OSError, EOFError, ValueError) as error:
        remedy = "check the connection and the disk" if download else "check the folder or download the files"
        raise ValueError(f"{name} cannot be read from {str(root)!r} ({_first_line(error)}); {remedy}") from error


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")
