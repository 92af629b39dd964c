"""What tells one run from another, so that a checkpoint is resumed only where going on is exact.

A fingerprint is a JSON object of all that decides the weights: the settings, the process, the denoiser, the objective, the
optimizer and the schedule, and the SHA-256 of every row of the data. What it says of an object is found by `describe`. An
object may say it itself, by a method `fingerprint()` that gives plain data.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sde_diffusion.data.tables import Table
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.io.atomic import to_json
from sde_diffusion.io.plain import as_read_back
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.settings import NOT_WEIGHT_DETERMINING

_DEPTH = 8


def check_fingerprint(there: object, here: dict[str, Any], source: Path) -> None:
    """Raises CheckpointError unless `source`, which has the fingerprint `there`, is of the run of fingerprint `here`."""
    if not isinstance(there, dict):
        raise CheckpointError(f"{source} is foreign: it does not say which run it is of")
    old, new = _flat(there), _flat(here)
    differing = sorted((name for name in old.keys() | new.keys() if old.get(name) != new.get(name)), key=_order)
    if differing:
        name = differing[0]
        raise CheckpointError(
            f"{source} is of another run: {name} is {_said(old, name)} there and {_said(new, name)} here; "
            "ask for the same, or train in another folder"
        )


def check_settings(there: dict[str, Any], settings: dict[str, Any], source: Path) -> None:
    """Raises CheckpointError unless the settings in a fingerprint are those of a configuration; what has no twin is passed."""
    for name, value in settings.items():
        if name in there and str(there[name]) != str(value) and name not in NOT_WEIGHT_DETERMINING:
            raise CheckpointError(
                f"{source} is of another run: training.{name} is {_said(there, name)} there and {str(value)[:100]} in the "
                "configuration; put this run's checkpoint back, or train in another folder"
            )


def fingerprint(**parts: Any) -> dict[str, Any]:
    """The description of each part, as JSON reads it back."""
    return as_read_back({name: describe(part) for name, part in parts.items()})


def describe(value: Any, depth: int = _DEPTH) -> Any:
    """Plain data that tell `value` from another one that computes something else.

    A dataclass by its fields, a module by the arguments it keeps and the names and kinds of its parts, a tensor by its
    digest, a function by its name, any other object by its class and its public numbers and words. Weights are left out.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else repr(value)
    if depth == 0:
        return type(value).__qualname__
    if callable(own := getattr(value, "fingerprint", None)) and not isinstance(value, type):
        return describe(own(), depth - 1)
    if isinstance(value, dict):
        return {str(name): describe(part, depth - 1) for name, part in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [describe(part, depth - 1) for part in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return _described_object(value, depth)


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of named tensors: their names, shapes, dtypes and every number."""
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(to_json([name, list(value.shape), str(value.dtype)]))
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def digest_of_data(table: Table) -> str:
    """The digest of the data that a model is fitted to: every row, in its coordinates, with labels."""
    return hashlib.sha256(to_json(table.digest())).hexdigest()


def _described_object(value: Any, depth: int) -> Any:
    if isinstance(value, Tensor):
        return digest({"": value})
    if isinstance(value, np.ndarray):
        return digest({"": torch.as_tensor(value)})
    if isinstance(value, nn.Module):
        return _described_module(value, depth)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name), depth - 1) for field in dataclasses.fields(value)}
        return {"class": type(value).__qualname__, **fields}
    if isinstance(value, functools.partial):
        return {"partial": describe(value.func, depth - 1), "args": describe([*value.args, value.keywords], depth - 1)}
    if isinstance(value, enum.Enum):
        return f"{type(value).__qualname__}.{value.name}"
    if isinstance(value, (type, torch.dtype)) or inspect.isroutine(value):
        return getattr(value, "__qualname__", str(value))
    return {"class": type(value).__qualname__, **_arguments(value, depth)}


def _described_module(module: nn.Module, depth: int) -> dict[str, Any]:
    """The class, what it was made with, the parts of a denoiser, and one digest of the tree of modules."""
    children = module.named_children() if isinstance(module, Denoiser) else ()
    parts = {name: describe(child, depth - 1) for name, child in children}
    tree = [
        [name, type(part).__qualname__, part.extra_repr(), _arguments(part, 2)] for name, part in module.named_modules()
    ]
    own = {"class": type(module).__qualname__, **_arguments(module, depth), **parts}
    return own | {"modules": hashlib.sha256(to_json(tree)).hexdigest()}


def _arguments(value: Any, depth: int) -> dict[str, Any]:
    """The public attributes of an object that are plain, are dataclasses or functions."""
    return {
        name: describe(part, depth - 1)
        for name, part in sorted(getattr(value, "__dict__", {}).items())
        if not name.startswith("_") and name != "training" and _is_argument(part)
    }


def _is_argument(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_argument, value))
    if isinstance(value, (nn.Module, Tensor)):
        return False
    plain = value is None or isinstance(value, (bool, int, float, str, functools.partial, enum.Enum))
    return plain or (dataclasses.is_dataclass(value) and not isinstance(value, type)) or inspect.isfunction(value)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted names and values."""
    if isinstance(value, dict):
        parts = [_flat(part, f"{prefix}.{name}" if prefix else str(name)) for name, part in value.items()]
        return {name: one for part in parts for name, one in part.items()}
    return {prefix: value}


def _order(name: str) -> tuple[bool, bool, str]:
    """What a person understands comes first: the class of a thing, then its arguments, then digests."""
    return name.endswith("modules"), not name.endswith(".class"), name


def _said(flat: dict[str, Any], name: str) -> str:
    return str(flat[name])[:100] if name in flat else "absent"
