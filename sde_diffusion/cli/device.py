"""Where to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sde_diffusion.cli.registry import nearest

if TYPE_CHECKING:
    import torch

NAMES = ("auto", "cpu", "cuda")


def device_of(name: str) -> torch.device:
    """The device called `auto`, `cpu` or `cuda`; ValueError for another name, or for a GPU that is not there."""
    import torch

    if name not in NAMES:
        raise ValueError(f"no device is called {name!r}; {nearest(name, NAMES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("torch sees no GPU on this machine; take --device cpu, or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
