"""An array of one's own in a file: .npy, .npz or .safetensors. None of them holds code, and nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sde_diffusion.data.labels import Labels, labels_of_file
from sde_diffusion.data.own_data import Contents, OwnData, existing_file

SUFFIXES = (".npy", ".npz", ".safetensors")

MOST_CHANNELS = 4
"""Of a picture: grey, grey with transparency, colour, colour with transparency."""


@dataclass(frozen=True)
class ArrayFile(OwnData):
    """Samples along the first axis of an array: .npy (read from the disk when asked for), or `key` of a .npz or .safetensors.

    Numbers are taken as they are. uint8 arrays are images (N, H, W), (N, H, W, C) or (N, C, H, W) of up to 4 channels, and
    become (C, H, W) in [-1, 1]. `labels`, and `conditions` (N, K) of numbers, called c0, c1, ...: another key, or another
    file of one of these kinds. `held_out`, `seed`: the share of the samples that is kept from training, and the key of the
    hash that picks it.
    """

    path: str
    key: str | None = None
    labels: str | None = None
    conditions: str | None = None
    held_out: float = 0.1
    seed: int = 0

    @property
    def place(self) -> str:
        """The file."""
        return self.path

    def read(self) -> Contents:
        """The array, its labels and its conditions."""
        arrays = read_arrays(self.path)
        values = _chosen(arrays, self.key, self.path, without=(self.labels, self.conditions))
        samples, notes = as_samples(values, self.path)
        return Contents(samples, self._labels(arrays), notes=notes, condition=self._conditions(arrays))

    @property
    def condition_names(self) -> tuple[str, ...] | None:
        """c0, c1, ..., one for each number of a condition."""
        found = self._contents.condition
        return None if found is None else tuple(f"c{number}" for number in range(found.shape[1]))

    def _labels(self, arrays: Mapping[str, Any]) -> Labels | None:
        if self.labels is None:
            return None
        found, place = self._beside(arrays, self.labels, "labels")
        try:
            return labels_of_file(np.asarray(found))
        except ValueError as error:
            raise ValueError(f"the labels in {place!r}: {error}") from error

    def _conditions(self, arrays: Mapping[str, Any]) -> np.ndarray | None:
        """Numbers (N, K), of an array (N,) or (N, K)."""
        if self.conditions is None:
            return None
        found, place = self._beside(arrays, self.conditions, "conditions")
        if found.dtype.kind not in "iuf" or found.ndim not in (1, 2) or found.size == 0:
            raise ValueError(
                f"the conditions in {place!r} are {found.dtype} of shape {found.shape}; give real numbers (N, K)"
            )
        return (found[:, None] if found.ndim == 1 else found).astype(np.float64)

    def _beside(self, arrays: Mapping[str, Any], name: str, what: str) -> tuple[np.ndarray, str]:
        """Another array of the file, or that of another file, and the file that it is from."""
        if name in arrays and len(arrays) > 1:
            return arrays[name], self.path
        if Path(name).suffix.lower() not in SUFFIXES:
            raise ValueError(f"{self.path!r} holds no {name!r}, but {_names(arrays)}; name a key, or a file of {what}")
        return _chosen(read_arrays(name), None, name), name


def read_arrays(path: str) -> Mapping[str, Any]:
    """The arrays of a file by their names, which is "" in a .npy. Raises ValueError that names the file.

    Arrays in a .npz or .safetensors are read when they are looked up.
    """
    file = existing_file(path)
    if file.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path!r} is not one of {', '.join(SUFFIXES)}; save the array with numpy.save")
    return _Arrays(file)


class _Arrays(Mapping[str, Any]):
    """The arrays of a file; whatever goes wrong in reading one is a ValueError that names the file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.names: list[str] = self._guarded(self._listed)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self):
        return iter(self.names)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise KeyError(name)
        return self._guarded(lambda: self._read(name))

    def _listed(self) -> list[str]:
        if self.file.suffix.lower() == ".npy":
            return [""]
        with self._open() as found:
            return list(found.keys())

    def _read(self, name: str) -> np.ndarray:
        if self.file.suffix.lower() == ".npy":
            return np.lib.format.open_memmap(self.file, mode="r")
        with self._open() as found:
            if self.file.suffix.lower() == ".npz":
                return found[name]
            tensor = found.get_tensor(name)
        return tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()

    def _open(self) -> Any:
        from safetensors import safe_open

        npz = self.file.suffix.lower() == ".npz"
        return np.load(self.file, allow_pickle=False) if npz else safe_open(self.file, "pt")

    def _guarded(self, read: Any) -> Any:
        try:
            return read()
        except Exception as error:  # what zip, numpy and safetensors raise for damage is of any kind
            words = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"{str(self.file)!r} cannot be read ({words}); save it again") from error


def _chosen(arrays: Mapping[str, Any], key: str | None, path: str, without: tuple[str | None, ...] = ()) -> np.ndarray:
    names = [name for name in arrays if name not in without or len(arrays) == 1]
    if key is not None and key not in arrays:
        raise ValueError(f"{path!r} holds no {key!r}, but {_names(arrays)}; name one of them as key")
    if key is None and len(names) != 1:
        raise ValueError(f"{path!r} holds {len(names)} arrays, {_names(arrays)}; choose one with key, --data.key NAME")
    return arrays[names[0] if key is None else key]


def _names(arrays: Mapping[str, Any]) -> str:
    return ", ".join(name or "one array without a name" for name in arrays) or "nothing"


def as_samples(values: np.ndarray, path: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The array as samples (N, *E), and what was done to it."""
    kind = values.dtype.kind
    if kind not in "iuf" or values.dtype.names:
        raise ValueError(f"{path!r} holds {values.dtype} and not real numbers; save an array of floats, or of uint8")
    if values.ndim < 2 or values.size == 0:
        hint = "a single number for each sample is x[:, None]" if values.ndim == 1 else "save samples of one shape"
        raise ValueError(f"{path!r} holds an array of shape {values.shape}, not samples (N, ...); {hint}")
    if values.dtype == np.uint8 and values.ndim in (3, 4):
        return _images(values, path)
    if values.dtype == np.uint8:
        return values.astype(np.float32), ("uint8 numbers are taken as they are: they are no images (N, H, W)",)
    notes = [f"{values.dtype} numbers are taken as continuous ones"] if kind in "iu" else []
    if values.ndim == 4 and values.shape[-1] <= MOST_CHANNELS < values.shape[1]:
        notes.append(f"the second axis, {values.shape[1]}, is taken as the channels; put channels first if it is not")
    return values, tuple(notes)


def _images(values: np.ndarray, path: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """uint8 (N, C, H, W) of images in one of three layouts."""
    scaled = "the levels 0 to 255 are scaled to -1 to 1"
    if values.ndim == 3:
        return values[:, None], (f"uint8 (N, H, W) is read as grey images; {scaled}",)
    if values.shape[1] <= MOST_CHANNELS:
        return values, (f"uint8 (N, C, H, W) is read as images of {values.shape[1]} channels; {scaled}",)
    if values.shape[-1] <= MOST_CHANNELS:
        last = values.shape[-1]
        return np.moveaxis(values, -1, 1), (
            f"uint8 (N, H, W, C) is read as images of {last} channels, put first; {scaled}",
        )
    raise ValueError(
        f"{path!r} holds uint8 of shape {values.shape}, whose channels are on neither side (1 to {MOST_CHANNELS}); save "
        "images (N, C, H, W), or floats"
    )
