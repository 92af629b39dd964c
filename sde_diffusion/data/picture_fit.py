"""A picture of any size brought to H x W: cropped, padded, or taken as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.pictures import Background, colour, grey_of

if TYPE_CHECKING:
    from PIL.Image import Image

FITS = ("crop", "pad", "keep")


def fitted(picture: Image, size: tuple[int, int], fit: str, background: Background = "white") -> Image:
    """The picture as H x W pixels, `size` = (H, W).

    "crop" takes the largest centred rectangle of that shape and resizes it by an antialiased bilinear filter; opacity is
    premultiplied meanwhile. "pad" shrinks a picture that is too large until all of it fits, and puts the background
    around it, transparent where there is an alpha channel. "keep" changes nothing, and raises ValueError for another size.
    """
    height, width = size
    if picture.size == (width, height):
        return picture
    if fit == "keep":
        raise ValueError(f"it is {picture.width} pixels wide and {picture.height} high, not {width} and {height}")
    return _padded(picture, size, background) if fit == "pad" else _cropped(picture, size)


def crop_size(size: tuple[int, int], whole: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the largest rectangle in `whole` = (h, w) with the shape of `size` = (H, W)."""
    (height, width), (h, w) = size, whole
    if h * width <= w * height:
        return h, max(1, round(h * width / height))
    return max(1, round(w * height / width)), w


def shrunk_size(size: tuple[int, int], whole: tuple[int, int]) -> tuple[int, int]:
    """Height and width of `whole` = (h, w) shrunk, if it is larger, until it fits into `size` = (H, W)."""
    (height, width), (h, w) = size, whole
    if h <= height and w <= width:
        return h, w
    if h * width <= w * height:
        return max(1, round(h * width / w)), width
    return height, max(1, round(w * height / h))


def centred(picture: Image, size: tuple[int, int]) -> Image:
    """The centred H x W pixels; black, or transparent, beyond the picture."""
    (height, width), (w, h) = size, picture.size
    left, top = round((w - width) / 2), round((h - height) / 2)
    return picture.crop((left, top, left + width, top + height))


def resized(picture: Image, size: tuple[int, int]) -> Image:
    """The picture resized to H x W by PIL's antialiased bilinear filter, a triangle as wide as a pixel of the result."""
    from PIL.Image import Resampling

    return picture.resize((size[1], size[0]), Resampling.BILINEAR)


def to_tensor(picture: Image, levels: int | None = 256) -> Tensor:
    """(C, H, W): uint8 of an 8-bit picture; of mode "F", in [0, 1], float32 numbers of levels, or itself without levels."""
    if picture.mode != "F":
        table = torch.from_numpy(np.array(picture))
        return table.reshape(picture.height, picture.width, -1).movedim(-1, 0).contiguous()
    grey = torch.from_numpy(np.array(picture))[None].clamp(0, 1)
    return grey if levels is None else grey.mul(levels - 1).round()


def _cropped(picture: Image, size: tuple[int, int]) -> Image:
    return resized(centred(picture, crop_size(size, (picture.height, picture.width))), size)


def _padded(picture: Image, size: tuple[int, int], background: Background) -> Image:
    from PIL import Image as images

    small = shrunk_size(size, (picture.height, picture.width))
    inner = picture if small == (picture.height, picture.width) else resized(picture, small)
    fill = {"L": round(255 * grey_of(background)), "F": grey_of(background), "RGB": colour(background)}
    whole = images.new(picture.mode, (size[1], size[0]), fill.get(picture.mode, 0))
    whole.paste(inner, ((size[1] - small[1]) // 2, (size[0] - small[0]) // 2))
    return whole
