"""The features of Inception v3, as published Frechet distances have them; needs the extra `inception`.

The network is torchmetrics', its weights those converted from TensorFlow's graph of 2015-12-05. Both libraries would
unpickle a file of weights whole, which runs code of whoever made it; here they are read by the restricted reader first and
handed on from memory.

References:
    Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015, https://arxiv.org/abs/1512.00567
    Heusel et al., GANs Trained by a Two Time-Scale Update Rule, 2017, https://arxiv.org/abs/1706.08500
    Parmar, Zhang & Zhu, On Aliased Resizing and Surprising Subtleties in GAN Evaluation, 2021,
        https://arxiv.org/abs/2104.11222: why the same resizing matters
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.metrics.extractors.base import Extractor

LAYERS = (64, 192, 768, 2048)
"""The widths of the layers whose means over the picture are features."""

INSTALL = "Inception needs torchmetrics and torch-fidelity; pip install 'sde-diffusion[inception]'"


def inception(weights: str | None = None, layer: int = 2048, antialias: bool = False) -> Extractor:
    """Inception v3: `layer` features of pictures (N, 1 or 3, H, W) in [-1, 1], by the extra `inception`.

    `weights` is a file of its state (.pth or .safetensors); without one it is downloaded to torch's cache and held
    against its checksum. Pictures go through `to_bytes` and are resized to 299 x 299 as in TensorFlow's graph, or with
    `antialias` as torchmetrics does by default, which gives figures of another scale.

    Raises:
        ImportError: the extra is not installed.
        ValueError: a file that is missing or holds other weights, or an unknown layer.
    """
    if layer not in LAYERS:
        raise ValueError(f"Inception's features are those of the layer {', '.join(map(str, LAYERS))}, got {layer}")
    try:
        from torchmetrics.image.fid import NoTrainInceptionV3  # pyright: ignore[reportMissingImports]

        return _Inception(_network(NoTrainInceptionV3, weights, layer, antialias))
    except ModuleNotFoundError as error:
        raise ImportError(f"{INSTALL} ({error})") from error


class _Inception:
    """The network behind `to_bytes`; it follows the pictures to their device."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, x: Tensor) -> Tensor:
        return self.network.to(x.device)(to_bytes(x))


def to_bytes(x: Tensor) -> Tensor:
    """Pictures (N, 1 or 3, H, W) in [-1, 1] as uint8 (N, 3, H, W): round(255 (x + 1)/2), cut to 0 .. 255, grey repeated.

    A picture read from 8 bits gets its own bytes back. Raises ValueError for other samples.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"Inception sees pictures (N, 1 or 3, H, W), got shape {tuple(x.shape)}; take pixels")
    return x.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)


def _network(kind: Any, weights: str | None, layer: int, antialias: bool) -> Any:
    """The network with its weights, which it reads from memory, where only what was checked is."""
    state = _downloaded() if weights is None else _read(Path(weights))
    checked = io.BytesIO()
    torch.save(state, checked)
    checked.seek(0)
    try:
        return kind("inception-v3-compat", [str(layer)], checked, antialias=antialias)
    except RuntimeError as error:
        raise ValueError(
            f"{weights} holds the weights of another network ({str(error)[:200]}); give Inception's"
        ) from error


def _downloaded() -> dict[str, Tensor]:
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3  # pyright: ignore[reportMissingImports]

    try:
        return torch.hub.load_state_dict_from_url(URL_INCEPTION_V3, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"the weights cannot be had from {URL_INCEPTION_V3} ({error}); download them on a connected machine and name the file, as in "
            "inception(weights='FILE')"
        ) from error


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, read without running anything in it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise ValueError(
            f"{path} holds no weights that can be read safely ({str(error)[:200]}); check the file"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds {type(found).__name__}, not the state of a network; give a state dict")
    return found
