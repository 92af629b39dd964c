"""Tar shards in the layout of webdataset, found by one pass over their headers: where each member's bytes lie.

The members of a sample follow one another and share a key, the name up to the first dot of its last part; what comes after
the dot says what a member is. Nothing is unpacked and nothing is unpickled.

References:
    Aizman, Maltby & Breuel, High Performance I/O For Large Scale Deep Learning, 2019, https://arxiv.org/abs/2001.01858
    The WebDataset format, https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

_KEY = re.compile(r"((?:.*/|)[^./]+)[.]([^/]*)")
_BRACES = re.compile(r"[{](?:(\d{1,18})[.][.](\d{1,18})|([^{},]*(?:,[^{},]*)+))[}]")
_ZEROS, _BLOCK = bytes(512), 2**20

MOST_SHARDS = 10**6
"""How many shards braces may name."""


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
    """The folder of the shards at a folder, a pattern or a file, and their absolute paths, sorted.

    In a pattern * and ? stand for any letters, {000..099} for numbers and {a,b} for words, as in "train-{000..099}.tar".
    Raises ValueError where there are none, or where one that braces name is missing.
    """
    found, folder = _shards(place), Path(place).expanduser().absolute()
    if not found:
        raise ValueError(f"{place!r} holds no .tar files; name a folder or a pattern of shards")
    return folder if folder.is_dir() else _common_folder(found), sorted(set(found))


def _shards(place: str) -> list[Path]:
    path = Path(place).expanduser().absolute()
    if "\0" not in place and path.is_dir():
        return [one for one in path.rglob("*.tar") if not _hidden(one, path)]
    if "\0" not in place and path.exists():
        return [path]
    spelt = _braces(str(path))
    if "\0" in place or (spelt == [str(path)] and not _is_pattern(place)):
        raise ValueError(f"{place!r} is not there; name a .tar file, a folder of them, or a pattern")
    found = {one: glob(one) if _is_pattern(one) else [one] * Path(one).is_file() for one in spelt}
    missing = [one for one, paths in found.items() if not paths]
    if missing and len(spelt) > 1:
        raise ValueError(f"{place!r} names {len(spelt)} shards, and {missing[0]!r} is not there; correct the braces")
    return [Path(one) for paths in found.values() for one in paths]


def _is_pattern(place: str) -> bool:
    return any(mark in place for mark in "*?[")


def _common_folder(paths: list[Path]) -> Path:
    return Path(os.path.commonpath([one.parent for one in paths]))


def _braces(text: str) -> list[str]:
    """The texts that braces stand for, in their order. Raises ValueError for more than `MOST_SHARDS`."""
    match = _BRACES.search(text)
    if match is None:
        return [text]
    rest = _braces(text[match.end() :])
    parts = match[3].split(",") if match[3] else _numbers(match[1], match[2])
    if len(parts) * len(rest) > MOST_SHARDS:
        raise ValueError(f"{text!r} names more than {MOST_SHARDS:,} shards; name a folder of them")
    return [text[: match.start()] + part + end for part in parts for end in rest]


def _numbers(first: str, last: str) -> list[str]:
    """The numbers from one to another, as wide as they are written."""
    low, high, width = int(first), int(last), min(len(first), len(last))
    if abs(high - low) >= MOST_SHARDS:
        raise ValueError(f"{{{first}..{last}}} stands for more than {MOST_SHARDS:,} shards; name a folder of them")
    step = 1 if low <= high else -1
    return [str(number).zfill(width) for number in range(low, high + step, step)]


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
    except Exception as error:  # of the disk, of tarfile or our own
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
