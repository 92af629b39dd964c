"""Pictures that stay in files on the disk: each is read when it is asked for."""

from __future__ import annotations

import hashlib
import time
from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.archive import absolute
from sde_diffusion.data.base import SPLITS, DataSource, Rows, check_indices
from sde_diffusion.data.picture_folder import key, refuse_bad
from sde_diffusion.data.pictures import Place
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.io.atomic import to_json

SEARCH = 60
"""Seconds in which, once a file cannot be read, other bad ones are looked for."""


class PictureFiles(DataSource):
    """A source of picture files, (C, H, W) in [-1, 1]."""

    root: str
    levels: int | None = 256

    @abstractmethod
    def files(self, split: str) -> tuple[Sequence[Place], Tensor | None]:
        """Where the split's pictures lie, N of them, in a fixed order, and labels (N,) int64 or None."""

    @abstractmethod
    def picture(self, path: str | Place) -> Tensor:
        """One picture's levels (C, H, W), uint8 or whole float32 numbers; without levels, numbers in [0, 1].

        Raises ValueError, with the file's name, for what is no picture of this source.
        """

    @abstractmethod
    def reading(self) -> dict[str, Any]:
        """What decides, beside the files, the numbers that are read, as plain data."""

    def size(self, split: str = "train") -> int:
        """How many samples the split holds."""
        return len(self.files(split)[0])

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Samples (B, *E) and labels (B,) or None at `indices`.

        Raises ValueError for a file that cannot be read; it names the bad ones of all files, each of which is read for it.
        """
        paths, labels = self.files(split)
        rows = check_indices(indices, len(paths))
        pictures = self._pictures([paths[row] for row in rows.tolist()])
        return from_levels(pictures, self.levels or 2), None if labels is None else labels[rows]

    def digest(self, split: str = "train") -> str:
        """BLAKE2b of all that decides the split's rows: each file's bytes, name and label, and this source's arguments."""
        if split not in self._digests:
            self._digests[split] = self._digest(split)
        return self._digests[split]

    def _digest(self, split: str) -> str:
        paths, labels = self.files(split)
        numbers = [None] * len(paths) if labels is None else labels.tolist()
        total = hashlib.blake2b(to_json([self.reading(), self.event_shape, self.class_names]), digest_size=32)
        for path, label in zip(paths, numbers, strict=True):
            head = key(path.relative_to(absolute(self.root)).as_posix())
            total.update(b"%d %d %s " % (-1 if label is None else label, len(head), head) + content(path))
        return total.hexdigest()

    @cached_property
    def _digests(self) -> dict[str, str]:
        return {}

    def _pictures(self, paths: Sequence[Place]) -> Tensor:
        try:
            pictures = [self.picture(path) for path in paths]
        except ValueError:
            refuse_bad(self._bad(), self.root)
            raise
        return torch.stack(pictures) if pictures else torch.empty(0, *self.event_shape, dtype=torch.uint8)

    def _bad(self) -> list[ValueError]:
        """What is wrong with each file of both splits, as far as they can be read in `SEARCH` seconds."""
        found, end = [], time.monotonic() + SEARCH
        for path in [path for split in SPLITS for path in self.files(split)[0]]:
            try:
                self.picture(path)
            except ValueError as error:
                found.append(error)
            if time.monotonic() > end:
                break
        return found


def content(path: Place) -> bytes:
    """A hash of a file's bytes; ValueError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, hashlib.blake2b).digest()
    except OSError as error:
        raise ValueError(
            f"{str(path)!r} cannot be read ({error.strerror}); check the disk, or remove the file"
        ) from error
