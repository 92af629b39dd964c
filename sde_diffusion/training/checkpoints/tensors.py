"""Named tensors and plain data in files: what is written, and what a reader makes of a file that may be hostile."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load_file
from torch import Tensor

from sde_diffusion.io.plain import read_json
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.distributed.parallel import copy_into_shards
from sde_diffusion.training.errors import first_line

Tensors = dict[str, Tensor]


class Named(Protocol):
    """A model, or what has named tensors as one has."""

    def state_dict(self) -> Tensors:
        """The tensors themselves, not copies."""
        ...


def plain(tensors: Tensors) -> Tensors:
    """Copies on the CPU: contiguous, each with a memory of its own even where weights are tied."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


def read_tensors(path: Path) -> Tensors:
    """The tensors of a safetensors file, on the CPU. Raises CheckpointError for any other file."""
    try:
        return load_file(path)
    except Exception as error:  # whatever a hostile file provokes
        raise CheckpointError(f"{path} is foreign: it holds no safetensors ({first_line(error)})") from error


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object of a file. Raises CheckpointError for any other file."""
    try:
        value = read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path} is foreign: it holds no JSON") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is foreign: it holds no JSON object")
    return value


def fill(model: Named, weights: Tensors, source: Path) -> None:
    """Copy weights into a model of the same names, shapes and dtypes; CheckpointError for any other."""
    check_alike(weights, model.state_dict(), source)
    for name, value in model.state_dict().items():
        copy_into_shards(value, weights[name])


def check_alike(theirs: Tensors, mine: Tensors, source: Path) -> None:
    """Raises CheckpointError unless both have the same names, shapes and dtypes."""
    same_kinds(_kinds(theirs), _kinds(mine), source)


def same_kinds(there: dict[str, tuple], here: dict[str, tuple], source: Path) -> None:
    """The same for the shape and the dtype of each name."""
    if here != there:
        name = min(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        raise CheckpointError(
            f"{source} is of another model: {name} is {_said(there.get(name))} there and {_said(here.get(name))} "
            "here; build the model it was made with"
        )


def _kinds(tensors: Tensors) -> dict[str, tuple]:
    return {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}


def _said(kind: tuple | None) -> str:
    return "absent" if kind is None else f"{kind[1]} of shape {kind[0]}"
