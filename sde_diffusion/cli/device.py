"""Where to compute."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sde_diffusion.cli.hints import DEVICES
from sde_diffusion.specs import nearest

if TYPE_CHECKING:
    import torch

NAMES = ("auto", "cpu", "cuda", "mps", "xpu")


def device_of(name: str) -> torch.device:
    """The device called `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`; `auto` is the accelerator where there is one.

    Raises ValueError for another name, or for a device that torch does not see on this machine.
    """
    import torch

    kind, _, number = name.partition(":")
    if kind not in NAMES or (":" in name and not re.fullmatch(r"\d{1,3}", number)):
        raise ValueError(f"no device is called {name!r}; {nearest(kind, NAMES, DEVICES)}")
    if kind == "auto":
        return torch.device(next((there for there in ("cuda", "mps", "xpu") if _count(there)), "cpu"))
    if kind != "cpu" and int(number or 0) >= (count := _count(kind)):
        there = f"{count} of that kind" if count else ("no GPU" if kind == "cuda" else "no such device")
        raise ValueError(f"{name}: torch sees {there} on this machine; take --device cpu, or auto")
    return torch.device(name)


def _count(kind: str) -> int:
    """How many devices of a kind torch sees."""
    import torch

    if kind == "mps":
        return int(torch.backends.mps.is_available())
    backend = getattr(torch, kind, None)
    return backend.device_count() if backend is not None and backend.is_available() else 0
