"""Where a model is trained: `auto` takes the CUDA GPU where there is one."""

from __future__ import annotations

import torch


def device_of(name: torch.device | str = "auto") -> torch.device:
    """The device called `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.

    Raises ValueError for another name, and for a device that this machine does not have.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"no device is called {str(name)!r}; take auto, cpu, cuda, cuda:1 or mps") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"the device is {device}, and torch sees {torch.cuda.device_count() or 'no'} CUDA GPU on this machine; take "
            "device='auto' or 'cpu'"
        )
    if device.type == "mps" and not _has_mps():
        raise ValueError("the device is mps, which this machine does not have; take device='auto' or 'cpu'")
    return device


def _has_mps() -> bool:
    return torch.backends.mps.is_available()
