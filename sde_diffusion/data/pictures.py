"""One reader of picture files: upright, in the range of their own depth, transparency laid over a background.

What is not done: colour profiles (ICC) are not applied, and of an animation or a file of several pages the first is read.

References:
    Porter & Duff, Compositing Digital Images, 1984, https://doi.org/10.1145/800031.808606 (the operator "over")
    Exif 2.32, 2019, https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, section 4.6.4 (Orientation)
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from threading import RLock
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image


class Place(Protocol):
    """Where the bytes of a picture file lie: a `Path`, or a part of another file; its text names it in messages."""

    @property
    def name(self) -> str:
        """The file's name."""
        ...

    def is_file(self) -> bool:
        """Whether there is a file."""
        ...

    def open(self, mode: Any) -> Any:
        """The bytes from their beginning, for mode "rb"."""
        ...

    def relative_to(self, other: Any, /) -> PurePath:
        """The name below a folder."""
        ...


FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""The formats of pictures that are read, by PIL's names."""

SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".gif"),
)
"""The suffixes, in lower case, by which the files of these formats are found in a folder."""

PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
"""The tag of TIFF files, and its value, for numbers that count from white; PIL turns those of 8 bits alone."""

_LIMIT = RLock()
"""Held by whoever has changed PIL's limit, which is one for the process."""

Background = str | Sequence[int]
"""What transparency is laid over: a colour's name such as "white" or "#00ff00", or red, green and blue in 0 .. 255."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture file says of itself before its pixels are decoded.

    Attributes:
        size: width and height in pixels, upright.
        mode: PIL's name of its kind of pixel.
        grey: it has no colours.
        alpha: it has transparent pixels, or may have them.
        top: its largest number: 255, 4095 or 65535; None for 32-bit and floating-point numbers, whose range no header gives.
        pages: how many pages or frames it has.
    """

    size: tuple[int, int]
    mode: str
    grey: bool
    alpha: bool
    top: int | None
    pages: int = 1


def read_picture(
    path: str | Place, mode: str = "RGB", background: Background = "white", range: Sequence[float] | None = None
) -> Image:
    """A picture file as a PIL image of that mode, upright, all of it in memory.

    Modes "L", "RGB" and "RGBA" are 8-bit; "F" is grey, in [0, 1]. A number v of a file of b bits is v / (2^b - 1), rounded to
    8 bits where the mode has them; with `range` = (low, high) it is (v - low) / (high - low). Of 16-bit colour PIL reads the
    upper 8 bits, v >> 8. But for "RGBA", a pixel of colour c and opacity a becomes a c + (1 - a) background.

    Raises ValueError, in a sentence with the file's name, for whatever cannot be read: damage, another format, a picture
    larger than PIL's limit, a pipe, a folder, 32-bit or floating-point numbers without a `range`, numbers beyond it. The
    format is found by the content and is one of `FORMATS`: PIL has readers of other ones, one of which starts a program.
    """
    from PIL.ImageOps import exif_transpose

    with opened(path) as picture:
        top = _top(picture)
        _correct_transparency(picture)
        exif_transpose(picture, in_place=True)
        if top == 255 and range is None and mode != "F":
            return _eight_bits(picture, mode, background)
        deep = picture if top != 255 else _eight_bits(picture, "L", background)
        numbers = _numbers(deep, range or _full_range(top), background)
        return numbers if mode == "F" else _rounded(numbers).convert(mode)


def read_header(path: str | Place) -> Header:
    """The header of a picture file; raises as `read_picture` does."""
    with opened(path) as picture:
        found = (_upright_size(picture), picture.mode, _is_grey(picture), _has_alpha(picture), _top(picture))
        return Header(*found, pages=getattr(picture, "n_frames", 1))


@contextmanager
def opened(path: str | Place) -> Iterator[Image]:
    """The file opened by PIL, its pixels not yet decoded; what goes wrong inside is a ValueError with the file's name."""
    from PIL import Image as reader

    place = Path(path) if isinstance(path, str) else path
    try:
        if not place.is_file():
            raise ValueError("it is no file")
        # By its handle: PIL maps uncompressed TIFF files that it opens by name into memory, and the rows of turned ones amiss.
        with place.open("rb") as file, reader.open(file, formats=FORMATS) as picture:
            if 0 in picture.size:
                raise ValueError("it has no pixels")
            yield picture
    except Exception as error:  # what PIL's readers raise for damage is of any kind
        words = " ".join(str(error).split()) or type(error).__name__
        words += " max_pixels allows larger ones" if isinstance(error, _too_large()) else ""
        raise ValueError(f"{str(path)!r} cannot be read as a picture ({words}); remove or replace it") from error


@contextmanager
def pixel_limit(most: int | None) -> Iterator[None]:
    """For the length of the block, pictures of up to `most` pixels are read; None leaves PIL's own limit, 178,956,970.

    PIL warns from half of its own limit on.
    """
    if most is None:
        yield
        return
    from PIL import Image as reader

    with _LIMIT, warnings.catch_warnings():
        warnings.simplefilter("error", reader.DecompressionBombWarning)
        before, reader.MAX_IMAGE_PIXELS = reader.MAX_IMAGE_PIXELS, most
        try:
            yield
        finally:
            reader.MAX_IMAGE_PIXELS = before


def _too_large() -> tuple[type[Exception], ...]:
    from PIL import Image as reader

    return reader.DecompressionBombError, reader.DecompressionBombWarning


def colour(background: Background) -> tuple[int, int, int]:
    """Red, green and blue of a background; ValueError for what is no colour."""
    from PIL.ImageColor import getrgb

    try:
        parts = getrgb(background) if isinstance(background, str) else [int(part) for part in background]
    except ValueError:
        parts = ()
    if len(parts) != 3 or not all(0 <= part <= 255 for part in parts):
        raise ValueError(
            f"a background is the name of a colour, or red, green and blue in 0 .. 255, got {background!r}; white is usual"
        )
    red, green, blue = parts
    return red, green, blue


def grey_of(background: Background) -> float:
    """A background's luma (ITU-R BT.601, as PIL turns colours grey), in [0, 1]."""
    red, green, blue = colour(background)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16) / 255


def _eight_bits(picture: Image, mode: str, background: Background) -> Image:
    from PIL import Image as images

    if picture.mode in ("LAB", "HSV", "YCbCr", "CMYK"):
        return picture.convert("RGB").convert(mode)
    if mode == "RGBA" or not _has_alpha(picture):
        return picture.convert(mode)

    over = picture.convert("RGBA")
    whole = images.new("RGB", picture.size, colour(background))
    return images.composite(over.convert("RGB"), whole, over.getchannel("A")).convert(mode)


def _numbers(picture: Image, range: Sequence[float], background: Background) -> Image:
    """Grey in [0, 1] from numbers in a range."""
    from PIL import Image as images

    low, high = range
    values = np.asarray(picture, dtype=np.float64)
    if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = low + high - values
    if not low <= values.min() <= values.max() <= high:
        raise ValueError(f"it holds {values.min():g} to {values.max():g}, beyond the range {low:g} to {high:g}")
    scaled = (values - low) / (high - low)
    if _has_alpha(picture):
        scaled = np.where(values == picture.info["transparency"], grey_of(background), scaled)
    return images.fromarray(scaled.astype(np.float32))


def _rounded(numbers: Image) -> Image:
    """Grey in 8 bits."""
    from PIL import Image as images

    return images.fromarray(np.rint(np.asarray(numbers, dtype=np.float64) * 255).astype(np.uint8))


def _full_range(top: int | None) -> tuple[float, float]:
    if top is None:
        raise ValueError("its 32-bit or floating-point numbers have no range of their own; give range=[low, high]")
    return 0, top


def _top(picture: Image) -> int | None:
    if picture.mode.startswith("I;16"):
        return 4095 if _raw_mode(picture).startswith("I;12") else 65535
    if picture.mode == "I" and picture.format in ("PNG", "PPM"):  # older PIL has 16-bit files of these in 32 bits
        return 65535
    return None if picture.mode in ("I", "F") else 255


def _raw_mode(picture: Any) -> str:
    """PIL's name of the pixels in the file."""
    found = picture.tile[0][3] if picture.tile else ""
    return str(found if isinstance(found, str) or not found else found[0])


def _has_alpha(picture: Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info


def _correct_transparency(picture: Image) -> None:
    """Bring a transparent grey of 2 or 4 bits to the 8 bits in which PIL reads the pixels."""
    factor, one = {"L;2": 85, "L;4": 17}.get(_raw_mode(picture)), picture.info.get("transparency")
    if isinstance(one, int) and factor:
        picture.info["transparency"] = one * factor
    if isinstance(one, tuple) and _raw_mode(picture).startswith("RGB;16"):
        raise ValueError("a transparent colour of 16 bits is more than PIL reads; give an alpha channel")


def _is_grey(picture: Image) -> bool:
    grey = picture.mode in ("1", "L", "LA", "La", "I", "F") or picture.mode.startswith("I;16")
    return grey or _raw_mode(picture) == "LA;16B" or (picture.mode == "P" and _is_grey_palette(picture))


def _is_grey_palette(picture: Any) -> bool:
    kind, data = picture.palette.getdata() if picture.palette else ("", b"")
    table = np.frombuffer(data, np.uint8)
    return kind == "RGB" and len(table) % 3 == 0 and not np.ptp(table.reshape(-1, 3), axis=1).any()


def _upright_size(picture: Image) -> tuple[int, int]:
    """Width and height after the orientation's turn. PIL itself turns TIFF files."""
    from PIL.ExifTags import Base
    from PIL.Image import Image as Plain

    width, height = picture.size
    turned = picture.format != "TIFF" and Plain.getexif(picture).get(Base.Orientation, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)
