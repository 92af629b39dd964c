"""What the readers of one's own pictures share: one format for all, found from their headers, and a share held out."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.base import check_split
from sde_diffusion.data.picture_files import PictureFiles
from sde_diffusion.data.picture_folder import key, refuse_bad
from sde_diffusion.data.picture_format import PictureFormat, Wanted
from sde_diffusion.data.picture_summary import changes, size_words
from sde_diffusion.data.pictures import Header, Place
from sde_diffusion.data.split import held_out as held_out_rows


class OwnPictures(PictureFiles):
    """Pictures by their names, (C, H, W) in [-1, 1]; `arguments` are those of the constructor, for the text of the source.

    A share `held_out` of them, picked by a hash of each name with the key `seed`, is kept from training.
    """

    wanted: Wanted
    held_out: float
    seed: int
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"

    @abstractmethod
    def places(self) -> Mapping[str, Place]:
        """Where each picture lies, by its name, in a fixed order."""

    @abstractmethod
    def class_of(self, name: str) -> str | None:
        """The class of a picture, None for one without."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (self.format.channels, *self.format.size)

    @property
    def levels(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many values a pixel takes: 256; of grey files with more bits as many as those have; None for real numbers."""
        return self.format.levels

    @property
    def classes(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of labels, None without."""
        return None if self.class_names is None else len(self.class_names)

    @cached_property
    def format(self) -> PictureFormat:
        """The shape, levels and background of all pictures."""
        return self.wanted.of(self.headers, self.root)

    @cached_property
    def headers(self) -> dict[str, Header]:
        """The header of each picture. Raises ValueError for the bad ones, all in one sentence."""
        found, errors = {}, []
        for name, place in self.places().items():
            try:
                found[name] = self.wanted.header(place)
            except ValueError as error:
                errors.append(error)
        refuse_bad(errors, self.root)
        return found

    def files(self, split: str) -> tuple[list[Place], Tensor | None]:
        """The places of a split and labels (N,) int64, or None."""
        return self._index[check_split(split)]

    def picture(self, path: str | Place) -> Tensor:
        """One picture's levels (C, H, W), uint8 or whole float32 numbers; without levels, numbers in [0, 1]."""
        return self.format.read(path)

    def reading(self) -> dict[str, Any]:
        """The format of the pictures."""
        return self.format.decisive()

    def counts(self, passed_over: Mapping[str, int]) -> dict[str, Any]:
        """The counts of a `summary`: pictures by what they are, what is done with them, and what is passed over."""
        headers, names = list(self.headers.values()), list(self.headers)
        classes = Counter(self.class_of(name) for name in names)
        return {
            "pictures": len(names),
            "classes": None if self.class_names is None else dict(sorted(classes.items())),
            "suffixes": dict(Counter(PurePosixPath(name).suffix.lower() for name in names).most_common()),
            "modes": dict(Counter(header.mode for header in headers).most_common()),
            "sizes": size_words(headers),
            "changes": changes(headers, self.format),
            "passed_over": dict(passed_over),
            "background": self.format.background,
        }

    def background_note(self, changed: Mapping[str, int]) -> list[str]:
        """A sentence where some picture is seen on the background."""
        seen = "padded" in changed or "laid over the background" in changed
        return [f"the background is {self.format.background}"] if seen else []

    @cached_property
    def _index(self) -> dict[str, tuple[list[Place], Tensor | None]]:
        names = list(self.headers)
        out = held_out_rows([key(name) for name in names], self.held_out, self.seed)
        return {"train": self._listed(names, ~out), "held_out": self._listed(names, out)}

    def _listed(self, names: list[str], chosen: Tensor) -> tuple[list[Place], Tensor | None]:
        places, taken = self.places(), [names[row] for row in chosen.nonzero()[:, 0].tolist()]
        paths = [places[name] for name in taken]
        if self.class_names is None:
            return paths, None
        number: dict[str | None, int] = {name: label for label, name in enumerate(self.class_names)}
        return paths, torch.tensor([number[self.class_of(name)] for name in taken])


def check_share(held_out: float) -> float:
    """The share itself. Raises ValueError for one outside (0, 1)."""
    if not 0 < held_out < 1:
        raise ValueError(f"held_out is a share in (0, 1), got {held_out}; 0.1 is usual")
    return held_out
