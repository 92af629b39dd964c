"""Samples that somebody has drawn already: a file of `sample`, or a folder of pictures. Imported when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_diffusion.data.base import validate
from sde_diffusion.data.pixels import from_levels

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def load_samples(path: Path, event_shape: tuple[int, ...]) -> Tensor:
    """Events (N, *E): `x` of a .safetensors file, or the pictures of a folder in the order of their names.

    Raises ValueError for anything else, for events of another shape, and for numbers that are not finite. Pictures are
    taken at their size: resizing would change what is measured.
    """
    if path.is_dir():
        return _pictures(path, event_shape)
    if path.suffix != ".safetensors" or not path.is_file():
        raise ValueError(f"{path} is neither a .safetensors file nor a folder of pictures; name one of them")
    return validate(_stored(path), event_shape).float()


def _stored(path: Path) -> Tensor:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            if "x" not in file.keys():  # noqa: SIM118 -- the file is no mapping
                raise ValueError(f"{path} holds no tensor x, but {', '.join(file.keys()) or 'none'}; name it x")
            return file.get_tensor("x")
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); draw the samples again") from error


def _pictures(folder: Path, event_shape: tuple[int, ...]) -> Tensor:
    import torch

    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files or len(event_shape) != 3:
        raise ValueError(
            f"{folder} holds {len(files)} pictures ({', '.join(SUFFIXES)}), the run knows events of shape {event_shape}; "
            "name a folder of pictures for a run of pictures"
        )
    return from_levels(torch.stack([_picture(file, event_shape) for file in files]))


def _picture(file: Path, event_shape: tuple[int, ...]) -> Tensor:
    """One picture, uint8 (C, H, W)."""
    import torch
    from PIL import Image

    channels, height, width = event_shape
    try:
        with Image.open(file) as opened:
            picture = np.array(opened.convert("L" if channels == 1 else "RGB"))
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{str(file)!r} cannot be read as a picture ({error}); remove or replace it") from error
    if picture.shape[:2] != (height, width):
        raise ValueError(
            f"{str(file)!r} is {picture.shape[1]} pixels wide and {picture.shape[0]} high, the run's pictures are {width} and "
            f"{height}; give pictures of that size"
        )
    return torch.from_numpy(picture).reshape(height, width, channels).movedim(-1, 0)
