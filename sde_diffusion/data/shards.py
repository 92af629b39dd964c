"""Tar shards in the layout of webdataset, found by one pass over their headers: where each member's bytes lie.

The members of a sample follow one another and share a key, the name up to the first dot of its last part; what comes after
the dot says what a member is. Nothing is unpacked and nothing is unpickled.

References:
    Aizman, Maltby & Breuel, High Performance I/O For Large Scale Deep Learning, 2019, https://arxiv.org/abs/2001.01858
    The WebDataset format, https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

_KEY = re.compile(r"((?:.*/|)[^./]+)[.]([^/]*)")
_ZEROS, _BLOCK = bytes(512), 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """A file within a shard: `size` bytes from `start` on. It reads as a path does."""

    shard: Path
    name: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"

    def is_file(self) -> bool:
        """Whether its shard is there."""
        return self.shard.is_file()

    def open(self, mode: str = "rb") -> BytesIO:
        """All its bytes. Raises OSError where the shard has been cut since it was looked through."""
        with open(self.shard, "rb") as file:
            file.seek(self.start)
            found = file.read(self.size)
        if len(found) < self.size:
            raise OSError(5, "the shard is cut short", str(self.shard))
        return BytesIO(found)

    def relative_to(self, folder: str | Path, /) -> PurePosixPath:
        """The shard's name below a folder, with the member's own below it."""
        return PurePosixPath(self.shard.relative_to(folder).as_posix(), self.name)


Sample = tuple[str, dict[str, Member]]
"""A key, and the members by what comes after it, in lower case."""


def shards_at(place: str) -> tuple[Path, list[Path]]:
    """The folder of the shards at a folder, a pattern such as "train-*.tar" or a file, and their absolute paths, sorted.

    Raises ValueError where there are none.
    """
    path = Path(place).expanduser().absolute()
    pattern = not path.exists() and any(mark in place for mark in "*?[")
    if "\0" in place or not (pattern or path.exists()):
        hint = (
            "; write * in the place of {...}" if "{" in place else "; name a .tar file, a folder of them, or a pattern"
        )
        raise ValueError(f"{place!r} is not there{hint}")
    if path.is_dir():
        found = [one for one in path.rglob("*.tar") if not _hidden(one, path)]
    else:
        found = [Path(one) for one in glob(str(path))] if pattern else [path]
    if not found:
        raise ValueError(f"{place!r} holds no .tar files; name a folder or a pattern of shards")
    return path if path.is_dir() else path.parent, sorted(found)


def samples_of(shard: Path) -> Iterator[Sample]:
    """The samples of a shard, in its order; members without a key, and those that are no files, are left out.

    Raises ValueError, with the shard's name, for damage, a compressed shard, a key that comes twice.
    """
    seen: set[str] = set()
    key, members = "", {}
    for member in members_of(shard):
        match = _KEY.fullmatch(member.name)
        if match is None or member.name.startswith("__"):
            continue
        if match[1] != key:
            if members:
                yield key, members
            key, members = match[1], {}
            _once(key, seen, shard)
        kind = match[2].lower()
        if kind in members:
            raise ValueError(f"{str(shard)!r} holds {member.name!r} twice; write each sample once")
        members[kind] = member
    if members:
        yield key, members


def members_of(shard: Path) -> Iterator[Member]:
    """The plain files of a shard, in its order; only their headers are read. Raises ValueError for damage."""
    try:
        with open(shard, "rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            size = shard.stat().st_size
            while (member := archive.next()) is not None:
                if member.isreg() and not member.issparse():
                    if member.offset_data + member.size > size:
                        raise ValueError(f"it ends within {member.name!r}")
                    yield Member(shard, member.name, member.offset_data, member.size)
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue]  # else the archive keeps them all
            _check_end(file, archive.offset)
    except (OSError, tarfile.TarError, ValueError) as error:
        if str(error).startswith(repr(str(shard))):
            raise
        words = " ".join(str(error).split())
        raise ValueError(
            f"{str(shard)!r} cannot be read as a tar shard ({words}); write it again, uncompressed"
        ) from error


def _check_end(file: IO[bytes], offset: int) -> None:
    """tarfile takes a damaged header for the end of the archive, which is a block of zeros with nothing after it."""
    file.seek(offset)
    if file.read(len(_ZEROS)) != _ZEROS:
        raise ValueError(f"it is damaged or cut short at byte {offset}")
    while chunk := file.read(_BLOCK):
        if chunk.strip(b"\0"):
            raise ValueError(f"its end at byte {offset} is followed by more: it is damaged, or two shards in one file")


def _once(key: str, seen: set[str], shard: Path) -> None:
    if key in seen:
        raise ValueError(f"{str(shard)!r} holds the sample {key!r} in two places; write its files one after another")
    seen.add(key)


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(root).parts)
