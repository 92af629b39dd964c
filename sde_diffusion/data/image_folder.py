"""Your own pictures: a folder, flat or with one sub-folder for each class."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from sde_diffusion.data.archive import absolute, reading
from sde_diffusion.data.own_pictures import OwnPictures, check_share
from sde_diffusion.data.picture_folder import Listing, class_of, counted, listing
from sde_diffusion.data.picture_format import Wanted
from sde_diffusion.data.pictures import Place


class ImageFolder(OwnPictures):
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
        max_pixels: int | None = None,
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
            max_pixels: how many pixels the largest picture may have. Left out: PIL's limit, 178,956,970, against small files
                that would become a large memory. Raise it for files that you trust.

        Raises ValueError for wrong arguments; when files are first asked for, for a folder without two pictures, and, in one
        sentence, for all files whose headers cannot be read.
        """
        if side is not None and size is not None:
            raise ValueError(f"side is the size of a square, got side={side} and size={size}; give one of them")
        self.root, self.held_out, self.seed, self.labels = root, check_share(held_out), seed, labels
        self.wanted = Wanted(side if size is None else size, fit, channels, background, range, max_pixels)
        self.arguments = {
            "root": root, "side": side, "held_out": held_out, "seed": seed, "size": size, "fit": fit, "channels": channels,
            "background": background, "range": range, "labels": labels, "max_pixels": max_pixels,
        }  # fmt: skip

    @cached_property
    def class_names(self) -> tuple[str, ...] | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The sub-folders' names, by label; None without labels."""
        found = {class_of(name): name for name in self._listing.pictures}
        if self.labels and None in found:
            raise ValueError(
                f"labels are the sub-folders' names, and {found[None]!r} lies in none; move it, or leave out labels=True"
            )
        return None if self.labels is False or None in found else tuple(sorted(name for name in found if name))

    def places(self) -> dict[str, Place]:
        """The path of each picture, by its name below the root."""
        folder = absolute(self.root)
        return {name: Path(folder, name) for name in self._listing.pictures}

    def class_of(self, name: str) -> str | None:
        """The first folder on a picture's way, None for one outside any."""
        return class_of(name)

    def summary(self) -> dict[str, Any]:
        """What the folder holds and what is done with it, as plain data: counts of files by what they are.

        `passed_over` counts the files that are not read, by suffix; `changes` those that are changed in each way.
        """
        found = self.counts(self._listing.passed_over)
        outside, count = sum(class_of(name) is None for name in self.headers), len(self.headers)
        notes = [f"{outside} of {count} pictures lie in no sub-folder: there are no labels"] * (0 < outside < count)
        return found | {"notes": notes + self.background_note(found["changes"])}

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
