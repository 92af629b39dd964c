"""How the files of a folder become events of one shape: what is asked for, and what follows for files of known headers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from sde_diffusion.data.picture_fit import FITS, fitted, to_tensor
from sde_diffusion.data.picture_folder import counted, refuse_bad
from sde_diffusion.data.picture_summary import size_words
from sde_diffusion.data.pictures import Background, Header, Place, colour, pixel_limit, read_header, read_picture

SIDE = 64
"""Height and width of pictures whose files are of several sizes, unless a size is given."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""PIL's modes of 8 bits, by the number of channels."""


@dataclass(frozen=True)
class PictureFormat:
    """Events (channels, *size) with `levels` values a pixel, None for real numbers; the rest is as in `Wanted`."""

    size: tuple[int, int]
    channels: int
    levels: int | None
    fit: str
    background: Background
    range: tuple[float, float] | None
    max_pixels: int | None = None

    def read(self, path: str | Place) -> Tensor:
        """One picture's levels (C, H, W), uint8 or whole float32 numbers; without levels, numbers in [0, 1].

        Raises ValueError, with the file's name, as `read_picture` does, and for another size under fit="keep".
        """
        eight = self.range is None and self.levels == 256
        with pixel_limit(self.max_pixels):
            whole = read_picture(path, MODES[self.channels] if eight else "F", self.background, self.range)
            if self.fit == "keep" and whole.size != self.size[::-1]:
                raise other_size(path, whole.size, self.size)
            return to_tensor(fitted(whole, self.size, self.fit, self.background), self.levels)

    def decisive(self) -> dict[str, Any]:
        """What decides the numbers that are read, as plain data."""
        return {name: value for name, value in asdict(self).items() if name != "max_pixels"}


@dataclass(frozen=True)
class Wanted:
    """What is asked for; None is left to the files. `ImageFolder` explains each. Raises ValueError for what cannot be."""

    size: int | Sequence[int] | None = None
    fit: str = "crop"
    channels: int | None = None
    background: Background = "white"
    range: Sequence[float] | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        if self.fit not in FITS or self.channels not in (None, *MODES):
            raise ValueError(
                f"fit is one of {', '.join(FITS)} and channels 1, 3 or 4, got {self.fit!r} and {self.channels}; correct it"
            )
        self._check_size()
        self._check_range()
        self._check_limit()
        colour(self.background)

    def of(self, headers: Mapping[str, Header], root: str) -> PictureFormat:
        """The format of files with these headers. Raises ValueError for files that do not have the size to keep."""
        every = list(headers.values())
        channels = self.channels or (1 if all(header.grey for header in every) else 3)
        span = None if self.range is None else (float(self.range[0]), float(self.range[1]))
        size = self._size(headers, root)
        return PictureFormat(
            size, channels, self._levels(every, channels), self.fit, self.background, span, self.max_pixels
        )

    def header(self, path: Place) -> Header:
        """The header of a file. Raises ValueError for one that cannot be read, or whose numbers cannot be brought to [-1, 1]."""
        with pixel_limit(self.max_pixels):
            found = read_header(path)
        self.check(found, path)
        return found

    def check(self, header: Header, path: Place) -> None:
        """Raise ValueError for a file whose numbers cannot be brought to [-1, 1]."""
        if self.range is None and header.top is None:
            raise ValueError(
                f"{str(path)!r} holds 32-bit or floating-point numbers, which have no range of their own; give range=[low, high]"
            )
        if self.range is not None and not header.grey:
            raise ValueError(f"{str(path)!r} has colours, and a range is for grey files; leave out range")

    def _check_size(self) -> None:
        parts = self.size if isinstance(self.size, (list, tuple)) else (self.size, self.size)
        known = all(isinstance(part, int) and not isinstance(part, bool) and part >= 1 for part in parts)
        if len(parts) != 2 or not (known or self.size is None):
            raise ValueError(f"size is [H, W] or one number of pixels, each at least 1, got {self.size}; correct it")

    def _check_range(self) -> None:
        if self.range is not None and not (len(self.range) == 2 and self.range[0] < self.range[1]):
            raise ValueError(f"range is [low, high] of a file's numbers, got {self.range}; correct it")
        if self.range is not None and self.channels not in (None, 1):
            raise ValueError(f"range is for grey files, got channels={self.channels}; give channels=1")

    def _check_limit(self) -> None:
        most = self.max_pixels
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            raise ValueError(f"max_pixels is the number of pixels of the largest picture, at least 1, got {most!r}")

    def _size(self, headers: Mapping[str, Header], root: str) -> tuple[int, int]:
        """H and W."""
        if self.size is None:
            return self._own_size(list(headers.values()), root)
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        wrong = {name: h.size for name, h in headers.items() if h.size != (width, height)}
        if self.fit == "keep":
            refuse_bad([other_size(name, found, (height, width)) for name, found in wrong.items()], root)
        return height, width

    def _own_size(self, headers: Sequence[Header], root: str) -> tuple[int, int]:
        sizes = {header.size for header in headers}
        if self.fit == "keep" and len(sizes) > 1:
            raise ValueError(
                f"{root!r} holds pictures of {len(sizes)} sizes ({counted(size_words(headers))}), and fit=keep changes none; "
                "give size=[H, W] with fit=crop or fit=pad"
            )
        width, height = sizes.pop() if len(sizes) == 1 else (SIDE, SIDE)
        return height, width

    def _levels(self, headers: Sequence[Header], channels: int) -> int | None:
        if self.range is None:
            return max(header.top or 0 for header in headers) + 1 if channels == 1 else 256
        steps = self.range[1] - self.range[0]
        real = any(header.mode == "F" for header in headers) or steps != int(steps)
        return None if real or steps > 65535 else int(steps) + 1


def other_size(path: str | Place, found: tuple[int, int], wanted: tuple[int, int]) -> ValueError:
    """The error of a file of another size: `found` is (W, H), `wanted` (H, W)."""
    return ValueError(
        f"{str(path)!r} is {found[0]} pixels wide and {found[1]} high, not {wanted[1]} and {wanted[0]}, and fit=keep changes "
        "none; give fit=crop or fit=pad"
    )
