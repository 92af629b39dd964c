"""The weights of other people's networks, read from one file without running anything in it.

    state = read_state("256x256_diffusion_uncond.pt")
    network = ADM(3, 256, (1, 1, 2, 2, 4, 4), 2, attention=(3, 4, 5), levels=levels(DDPM()), outputs=6)
    network.load_state_dict(of_guided_diffusion(state, network))
    model = DiffusionModel(DDPM(), Preconditioned(network, Noise()), (3, 256, 256))

`networks.weights_of_others` has the names of the parameters of each program.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.io.finite import refuse_weights_not_finite
from sde_diffusion.sharing.safe_load import read_tensors

CONVERT = (
    "open it with the program that wrote it, on a machine where you trust it, and write its weights alone: "
    "`safetensors.torch.save_file(network.state_dict(), 'weights.safetensors')`"
)


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file by name, on the CPU: of safetensors, or of torch.save with tensors alone.

    Raises ValueError, in a sentence, for a file that would run code when it is opened, as EDM's `.pkl` do, and for one without
    named tensors; FloatingPointError for weights that are NaN or infinite.
    """
    source = Path(path)
    found = read_tensors(source) if source.suffix == ".safetensors" else _restricted(source)
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{source} holds no named tensors, the state of one network; {CONVERT}")
    refuse_weights_not_finite(found, source)
    return found


def _restricted(source: Path) -> Any:
    """What torch's restricted reader finds, which makes tensors and plain data and nothing else."""
    if source.suffix == ".pkl":
        raise ValueError(f"{source} is a pickle, which runs code when it is opened; {CONVERT}")
    try:
        return torch.load(source, "cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ValueError(f"there is no file {source}; name the weights that you have downloaded") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        words = " ".join(str(error).split())[:120]
        raise ValueError(f"{source} cannot be read without running code ({words}); {CONVERT}") from error
