"""Existing samples: a file of `sample`, or a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.data.base import validate
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.io.finite import finite_rows

if TYPE_CHECKING:
    from torch import Tensor


def load_samples(path: Path, event_shape: tuple[int, ...]) -> Tensor:
    """Samples (N, *E): `x` of a .safetensors file, or the images of a folder in the order of their names.

    Raises ValueError for anything else and for samples of another shape, FloatingPointError for values that are not finite.
    Images are not resized: that would change what is measured. Hidden files are passed over, sub-folders are not entered;
    transparency is laid over white where the samples have fewer than four channels.
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

    from sde_diffusion.data.picture_folder import flat, refuse_bad

    files = flat(folder)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(event_shape[0]) if len(event_shape) == 3 else None
    if not files or mode is None:
        raise ValueError(
            f"{folder} holds {len(files)} images, the run's samples have shape {event_shape}; name a folder of images for a "
            "run of images"
        )
    pictures, errors = [], []
    for file in files:
        try:
            pictures.append(_picture(file, mode, event_shape[1:]))
        except ValueError as error:
            errors.append(error)
    refuse_bad(errors, str(folder))
    return from_levels(torch.stack(pictures))


def _picture(file: Path, mode: str, size: tuple[int, ...]) -> Tensor:
    """One image, uint8 (C, H, W)."""
    from sde_diffusion.data.picture_fit import to_tensor
    from sde_diffusion.data.pictures import read_picture

    picture = read_picture(file, mode)
    if picture.size != size[::-1]:
        raise ValueError(
            f"{str(file)!r} is {picture.width} pixels wide and {picture.height} high, the run's images are {size[1]} and "
            f"{size[0]}; give images of that size"
        )
    return to_tensor(picture)
