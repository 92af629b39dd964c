"""Your own pictures in tar shards, the layout of webdataset: read at random places of the shards, in the order of a run."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sde_diffusion.data.archive import absolute
from sde_diffusion.data.labels import Labels, labels_of_file
from sde_diffusion.data.own_pictures import OwnPictures, check_share
from sde_diffusion.data.picture_folder import counted
from sde_diffusion.data.picture_format import Wanted
from sde_diffusion.data.pictures import SUFFIXES, Place
from sde_diffusion.data.shards import Member, samples_of, shards_at

LABEL, LONGEST = "cls", 1024
"""What a member with the sample's class is called, and how many bytes it may have."""


class ImageShards(OwnPictures):
    """The pictures of tar shards, (C, H, W) in [-1, 1], each upright and in the range of its own depth.

    A sample is a picture, with its class in a member `.cls`, a number or a text. One pass over the shards finds where each
    picture lies. From then on any of them is read by itself, so that the order is that of every other data set, a function
    of (seed, step), and a resumed run sees the same batches with any number of workers and processes. What else a sample
    holds is not read, `.pth`, `.pt`, `.pkl`, `.pickle` and `.pyd` least of all, since reading them may run code; `summary`
    counts it.
    """

    def __init__(
        self,
        path: str,
        image: str | None = None,
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
        """Which shards, and how their pictures are read. Nothing is read yet.

        Args:
            path: a .tar file, a folder of them, or a pattern such as train-*.tar. They are not compressed.
            image: what comes after the key in the name of the picture, such as "left.png", for samples with several.
            held_out: the share in (0, 1) of the samples that is kept from training. Whether one is held out depends on the
                names of its shard and of its picture alone.
            labels: whether `.cls` is the class. Left out: if every sample has one.
            seed, size, fit, channels, background, range, max_pixels: as for `image_folder`.

        Raises ValueError for wrong arguments; when samples are first asked for, for shards that are damaged, samples without a
        picture or with several, and pictures that cannot be read.
        """
        self.path, self.image, self.held_out, self.seed, self.labels = path, image, check_share(held_out), seed, labels
        self.wanted = Wanted(size, fit, channels, background, range, max_pixels)
        self.arguments = {
            "path": path, "image": image, "held_out": held_out, "seed": seed, "size": size, "fit": fit, "channels": channels,
            "background": background, "range": range, "labels": labels, "max_pixels": max_pixels,
        }  # fmt: skip

    @cached_property
    def root(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The folder of the shards."""
        return absolute(str(shards_at(self.path)[0]))

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes, by label; None without labels."""
        return None if self._labelled is None else self._labelled[1]

    def places(self) -> dict[str, Place]:
        """The member of each picture, by its name below the folder of the shards."""
        return self._contents[0]

    def class_of(self, name: str) -> str | None:
        """What the sample's `.cls` says."""
        return None if self._labelled is None else self._labelled[0][name]

    def summary(self) -> dict[str, Any]:
        """What the shards hold and what is done with it, as plain data; `passed_over` counts the members that are not read."""
        _, texts, others = self._contents
        found, count = self.counts(others), len(self.places())
        missing = sum(text is None for text in texts.values())
        notes = [f"{missing} of {count} samples have no .{LABEL}: there are no labels"] * (0 < missing < count)
        return found | {"notes": notes + self.background_note(found["changes"])}

    @cached_property
    def _contents(self) -> tuple[dict[str, Place], dict[str, str | None], dict[str, int]]:
        """Pictures and what their `.cls` says, by name, and how many other members there are of each kind."""
        folder, shards = shards_at(self.path)
        pictures: dict[str, Place] = {}
        labels: dict[str, str | None] = {}
        others: Counter[str] = Counter()
        for shard in shards:
            for key, members in samples_of(shard):
                picture = self._picture(key, members, shard)
                name = picture.relative_to(folder).as_posix()
                pictures[name], labels[name] = picture, _text(members.get(LABEL))
                others.update(f".{kind}" for kind, one in members.items() if one != picture and kind != LABEL)
        if len(pictures) < 2:
            raise ValueError(
                f"{self.path!r} holds {len(pictures)} samples; give at least 2, one to train on and one to hold out"
            )
        return pictures, labels, dict(sorted(others.items()))

    def _picture(self, key: str, members: dict[str, Member], shard: Path) -> Member:
        found = [kind for kind in members if self.image == kind or (self.image is None and _suffix(kind) in SUFFIXES)]
        if len(found) != 1:
            held = counted(dict.fromkeys((f".{kind}" for kind in members), 1))
            raise ValueError(
                f"the sample {key!r} of {str(shard)!r} holds {len(found)} pictures among {held}; give one to each, or name it "
                "with image"
            )
        return members[found[0]]

    @cached_property
    def _labelled(self) -> tuple[dict[str, str], tuple[str, ...]] | None:
        """The class of each picture, and all classes; None without labels."""
        texts = self._contents[1]
        without = [name for name, text in texts.items() if text is None]
        if self.labels and without:
            raise ValueError(f"{without[0]!r} of {self.path!r} has no .{LABEL}; write one, or leave out labels=True")
        if self.labels is False or without:
            return None
        numbers, names = self._numbered([text or "" for text in texts.values()])
        return {name: names[number] for name, number in zip(texts, numbers.tolist(), strict=True)}, names

    def _numbered(self, texts: list[str]) -> Labels:
        whole = all(text.isascii() and text.isdigit() for text in texts)
        try:
            return labels_of_file(np.array([int(text) for text in texts] if whole else texts))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"the classes in {self.path!r}: {error}") from error


def _suffix(kind: str) -> str:
    return "." + kind.rpartition(".")[2]


def _text(member: Member | None) -> str | None:
    """What a `.cls` says. Raises ValueError for one that is empty, long or no text."""
    if member is None:
        return None
    try:
        found = member.open().read().decode().strip() if member.size <= LONGEST else ""
    except UnicodeDecodeError:
        found = ""
    if not found:
        raise ValueError(
            f"{str(member)!r} is no class: it is empty, no text, or longer than {LONGEST} bytes; write a number"
        )
    return found
