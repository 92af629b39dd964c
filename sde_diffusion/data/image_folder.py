"""Your own pictures: a folder, flat or with one sub-folder for each class."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.archive import absolute, reading
from sde_diffusion.data.base import check_split
from sde_diffusion.data.picture_files import PictureFiles
from sde_diffusion.data.picture_folder import Listing, class_of, counted, key, listing, refuse_bad
from sde_diffusion.data.picture_format import PictureFormat, Wanted
from sde_diffusion.data.picture_summary import changes, size_words
from sde_diffusion.data.pictures import Header, read_header
from sde_diffusion.data.split import held_out as held_out_rows


class ImageFolder(PictureFiles):
    """Pictures below `root`, at any depth, (C, H, W) in [-1, 1], each upright and in the range of its own depth.

    Classes are the sub-folders of `root`, numbered in the order of their names. There are no labels where a picture lies
    outside them, or with labels=False. Hidden files and the litter of operating systems are passed over. `summary` says what
    the folder holds, what is passed over, and how many files are enlarged, cropped, turned grey or coloured.
    """

    def __init__(
        self,
        root: str,
        side: int | None = None,
        held_out: float = 0.1,
        seed: int = 0,
        size: int | list[int] | None = None,
        fit: str = "crop",
        channels: int | None = None,
        background: str | list[int] = "white",
        range: list[float] | None = None,
        labels: bool | None = None,
    ) -> None:
        """Which files, and how they are read. Nothing is read yet.

        Args:
            root: the folder.
            side: height and width in pixels: `size` of a square.
            held_out: the share in (0, 1) of the files that is kept from training, at least one. Whether a file is held out
                depends on its path below `root` alone: other files may come and go.
            seed: of that choice.
            size: [H, W] in pixels, or one number for a square. Left out: the files' own size if they share one, else 64 x 64.
            fit: "crop" to the largest centred rectangle and resize; "pad" with the background, shrinking what is too large;
                "keep": all files have the size, and nothing is changed.
            channels: 1, 3 or 4. Left out: 1 if all files are grey, else 3.
            background: what transparency is laid over where there are fewer than four channels, and what is padded with: a
                colour's name, or [red, green, blue] in 0 .. 255.
            range: [low, high] of the numbers in grey files, brought to [-1, 1]. Left out: the range of each file's own depth;
                32-bit and floating-point files have none and are refused.
            labels: whether sub-folders are classes. Left out: if every picture lies in one.

        Raises ValueError for wrong arguments; when files are first asked for, for a folder without two pictures, and, in one
        sentence, for all files whose headers cannot be read.
        """
        if not 0 < held_out < 1:
            raise ValueError(f"held_out is a share in (0, 1), got {held_out}; 0.1 is usual")
        if side is not None and size is not None:
            raise ValueError(f"side is the size of a square, got side={side} and size={size}; give one of them")
        self.root, self.held_out, self.seed, self.labels = root, held_out, seed, labels
        self.wanted = Wanted(side if size is None else size, fit, channels, background, range)
        self.arguments = {
            "root": root, "side": side, "held_out": held_out, "seed": seed, "size": size, "fit": fit, "channels": channels,
            "background": background, "range": range, "labels": labels,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"ImageFolder({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (self.format.channels, *self.format.size)

    @property
    def levels(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many values a pixel takes: 256; of grey files with more bits as many as those have; None for real numbers."""
        return self.format.levels

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The sub-folders' names, by label; None without labels."""
        found = {class_of(name): name for name in self._listing.pictures}
        if self.labels and None in found:
            raise ValueError(
                f"labels are the sub-folders' names, and {found[None]!r} lies in none; move it, or leave out labels=True"
            )
        return None if self.labels is False or None in found else tuple(sorted(name for name in found if name))

    @property
    def classes(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of labels, None without."""
        return None if self.class_names is None else len(self.class_names)

    @cached_property
    def format(self) -> PictureFormat:
        """The shape, levels and background of all pictures."""
        return self.wanted.of(self._headers, self.root)

    def files(self, split: str) -> tuple[list[Path], Tensor | None]:
        """Paths and labels (N,) int64, or None, of a split."""
        return self._index[check_split(split)]

    def picture(self, path: str | Path) -> Tensor:
        """One picture's levels (C, H, W), uint8 or whole float32 numbers; without levels, numbers in [0, 1]."""
        return self.format.read(path)

    def reading(self) -> dict[str, Any]:
        """The format of the pictures."""
        return asdict(self.format)

    def summary(self) -> dict[str, Any]:
        """What the folder holds and what is done with it, as plain data: counts of files by what they are.

        `passed_over` counts the files that are not read, by suffix; `changes` those that are changed in each way.
        """
        headers, names = list(self._headers.values()), self._listing.pictures
        classes = Counter(class_of(name) for name in names)
        changed = changes(headers, self.format)
        return {
            "pictures": len(names),
            "classes": None if self.class_names is None else dict(sorted(classes.items())),
            "suffixes": dict(Counter(Path(name).suffix.lower() for name in names).most_common()),
            "modes": dict(Counter(header.mode for header in headers).most_common()),
            "sizes": size_words(headers),
            "changes": changed,
            "passed_over": self._listing.passed_over,
            "background": self.format.background,
            "notes": self._notes(classes[None], changed),
        }

    def _notes(self, outside: int, changed: dict[str, int]) -> list[str]:
        ground = f"the background is {self.format.background}"
        found = {
            f"{outside} of {len(self._headers)} pictures lie in no sub-folder: there are no labels": 0
            < outside
            < len(self._headers),
            ground: "padded" in changed or "laid over the background" in changed,
        }
        return [note for note, true in found.items() if true]

    @cached_property
    def _listing(self) -> Listing:
        with reading("a folder of pictures", self.root):
            found = listing(absolute(self.root))
        if (n := len(found.pictures)) < 2:
            others = f" and {counted(found.passed_over)}, which are not read" if found.passed_over else ""
            raise ValueError(
                f"{self.root!r} holds {n} picture{'s' * (n != 1)}{others}; give at least 2 pictures, one to train on and one to "
                "hold out"
            )
        return found

    @cached_property
    def _headers(self) -> dict[str, Header]:
        """The header of each picture. Raises ValueError for the bad ones, all in one sentence."""
        found, errors = {}, []
        for name in self._listing.pictures:
            try:
                path = Path(absolute(self.root), name)
                found[name] = read_header(path)
                self.wanted.check(found[name], path)
            except ValueError as error:
                errors.append(error)
        refuse_bad(errors, self.root)
        return found

    @cached_property
    def _index(self) -> dict[str, tuple[list[Path], Tensor | None]]:
        names = list(self._headers)
        out = held_out_rows([key(name) for name in names], self.held_out, self.seed)
        return {"train": self._listed(names, ~out), "held_out": self._listed(names, out)}

    def _listed(self, names: list[str], chosen: Tensor) -> tuple[list[Path], Tensor | None]:
        taken = [names[row] for row in chosen.nonzero()[:, 0].tolist()]
        paths = [Path(absolute(self.root), name) for name in taken]
        if self.class_names is None:
            return paths, None
        number: dict[str | None, int] = {name: label for label, name in enumerate(self.class_names)}
        return paths, torch.tensor([number[class_of(name)] for name in taken])
