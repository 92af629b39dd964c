"""Existing samples: a file of `sample`, or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_diffusion.data.base import validate
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.io.finite import finite_rows

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def load_samples(path: Path, event_shape: tuple[int, ...]) -> Tensor:
    """Samples (N, *E): `x` of a .safetensors file, or the images of a folder in the order of their names.

    Raises ValueError for anything else and for samples of another shape, FloatingPointError for values that are not finite.
    Images are not resized: that would change what is measured.
    """
    if path.is_dir():
        return _pictures(path, event_shape)
    if path.suffix != ".safetensors" or not path.is_file():
        raise ValueError(f"{path} is neither a .safetensors file nor a folder of images; name one of them")
    x = _stored(path)
    if x.ndim:
        finite_rows(x, f"samples in {path}", why="generate them again, by a model whose weights are finite")
    return validate(x, event_shape).float()


def _stored(path: Path) -> Tensor:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            if "x" not in file.keys():  # noqa: SIM118 -- a safetensors file is no mapping
                raise ValueError(f"{path} holds no tensor x, but {', '.join(file.keys()) or 'none'}; name it x")
            return file.get_tensor("x")
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); generate the samples again") from error


def _pictures(folder: Path, event_shape: tuple[int, ...]) -> Tensor:
    import torch

    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not files or len(event_shape) != 3:
        raise ValueError(
            f"{folder} holds {len(files)} images ({', '.join(SUFFIXES)}), the run's samples have shape {event_shape}; "
            "name a folder of images for a run of images"
        )
    return from_levels(torch.stack([_picture(file, event_shape) for file in files]))


def _picture(file: Path, event_shape: tuple[int, ...]) -> Tensor:
    """One image, uint8 (C, H, W)."""
    import torch

    from sde_diffusion.data.pictures import read_picture

    channels, height, width = event_shape
    picture = np.array(read_picture(file, "L" if channels == 1 else "RGB"))
    if picture.shape[:2] != (height, width):
        raise ValueError(
            f"{str(file)!r} is {picture.shape[1]} pixels wide and {picture.shape[0]} high, the run's images are {width} and "
            f"{height}; give images of that size"
        )
    return torch.from_numpy(picture).reshape(height, width, channels).movedim(-1, 0)
