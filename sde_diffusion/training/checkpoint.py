"""Checkpoints: `step-000500/` with the weights, their average, the optimizer and the counters.

    model.safetensors, ema.safetensors    tensors alone; nothing in them can run
    optimizer.pt                          torch.save, read with weights_only=True
    state.json                            the step and the counters
    manifest.json                         the SHA-256 of each, written last

A checkpoint is written in a temporary folder beside its place, synchronised with the disk and renamed: it is there in
full or not at all. What is read is verified first, and whatever is wrong with it becomes one CheckpointError.
"""

from __future__ import annotations

import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sde_diffusion.training import manifest
from sde_diffusion.training.engine import put
from sde_diffusion.training.files import new_folder, remove_folder, to_json
from sde_diffusion.training.manifest import CheckpointError
from sde_diffusion.training.tensor_archive import refuse_more_than_tensors

Tensors = dict[str, Tensor]

_MODEL, _EMA, _OPTIMIZER, _STATE = "model.safetensors", "ema.safetensors", "optimizer.pt", "state.json"
_FILES = {_MODEL, _EMA, _OPTIMIZER, _STATE}
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on: state dicts of the model, its average and the optimizer, and what fits JSON."""

    step: int
    model: Tensors
    ema: Tensors
    optimizer: dict[str, Any]
    state: dict[str, Any]


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-NNNNNN` and return it once the disk holds it.

    Raises OSError of one sentence, and leaves nothing behind, when it cannot be written; earlier checkpoints stay.
    """
    path = Path(folder) / f"step-{checkpoint.step:06d}"
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; resume from it or take another folder")
    try:
        with new_folder(path) as draft:
            save_file(_plain(checkpoint.model), draft / _MODEL)
            save_file(_plain(checkpoint.ema), draft / _EMA)
            torch.save(checkpoint.optimizer, draft / _OPTIMIZER)
            (draft / _STATE).write_bytes(to_json(checkpoint.state))
            manifest.write(draft, checkpoint.step)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OSError(f"{path} was not saved ({_first(error)}); earlier ones stand: make room, then resume") from error
    return path


def checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints in a folder by step, in rising order, verified or not."""
    named = [(path, _NAME.fullmatch(path.name)) for path in Path(folder).glob("step-*")]
    return dict(sorted((int(match[1]), path) for path, match in named if match))


def verify(path: Path) -> None:
    """Raises CheckpointError unless every file of the checkpoint has the size and SHA-256 of its manifest."""
    step = manifest.verify(Path(path), _FILES)
    if Path(path).name != f"step-{step:06d}":
        raise CheckpointError(f"{path} holds step {step}, which its name denies; rename it back")


def latest(folder: Path) -> Path | None:
    """The newest checkpoint that verifies; None when there are none at all.

    Warns with a sentence for each newer one that is damaged. Raises CheckpointError when all are; nothing is deleted.
    """
    wrong: list[str] = []
    for path in reversed(checkpoints(folder).values()):
        try:
            verify(path)
        except CheckpointError as error:
            wrong.append(str(error))
        else:
            for sentence in wrong:
                warnings.warn(f"{sentence}; falling back to {path.name}", stacklevel=2)
            return path
    if wrong:
        raise CheckpointError(
            f"none of the {len(wrong)} checkpoints in {folder} is whole (the newest: {wrong[0]}); "
            "restore one from a backup, or move them away to begin again"
        )
    return None


def load(path: Path) -> Checkpoint:
    """Verify and read a checkpoint; tensors arrive on the CPU. Raises CheckpointError for a damaged or foreign one."""
    path = Path(path)
    verify(path)
    return Checkpoint(
        step=int(path.name.removeprefix("step-")),
        model=_tensors(path / _MODEL),
        ema=_tensors(path / _EMA),
        optimizer=_pickled(path / _OPTIMIZER),
        state=_json(path / _STATE),
    )


def load_average(path: Path, model: nn.Module) -> int:
    """Verify a checkpoint and give `model` its averaged weights; the checkpoint's step."""
    verify(path)
    fill(model, _tensors(Path(path) / _EMA), Path(path))
    return int(Path(path).name.removeprefix("step-"))


class Named(Protocol):
    """A model, or what has named tensors as one has."""

    def state_dict(self) -> Tensors:
        """The tensors themselves, not copies."""
        ...


def fill(model: Named, weights: Tensors, source: Path) -> None:
    """Copy weights into a model of the same names, shapes and dtypes; CheckpointError for any other."""
    mine = {name: (tuple(value.shape), value.dtype) for name, value in model.state_dict().items()}
    theirs = {name: (tuple(value.shape), value.dtype) for name, value in weights.items()}
    if mine != theirs:
        name = min(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))
        raise CheckpointError(
            f"{source} is of another model: {name} is {_said(theirs.get(name))} there and {_said(mine.get(name))} "
            "here; build the model it was made with"
        )
    for name, value in model.state_dict().items():
        put(value, weights[name])


def prune(folder: Path, keep: int, step: int) -> None:
    """Remove all but the `keep` newest checkpoints up to `step`, the one just saved; later ones are not touched."""
    past = [path for number, path in checkpoints(folder).items() if number <= step]
    for path in past[:-keep]:
        remove_folder(path)


def set_aside(folder: Path, step: int) -> None:
    """Rename what is newer than `step`, which a fall-back left behind, so that its names are free; delete nothing."""
    for number, path in checkpoints(folder).items():
        if number > step:
            others = len(list(path.parent.glob(f"damaged-{path.name}*")))
            path.rename(path.with_name(f"damaged-{path.name}" + (f"-{others}" if others else "")))


def _plain(tensors: Tensors) -> Tensors:
    """Copies on the CPU: contiguous, each with a memory of its own even where weights are tied."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


def _tensors(path: Path) -> Tensors:
    try:
        return load_file(path)
    except Exception as error:  # whatever a hostile file provokes
        raise CheckpointError(f"{path} is foreign: it holds no safetensors ({_first(error)})") from error


def _pickled(path: Path) -> dict[str, Any]:
    """The optimizer's state, of a file that cannot become a larger memory."""
    try:
        refuse_more_than_tensors(path)
        value = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a hostile file provokes
        raise CheckpointError(f"{path} is foreign: it holds other things than tensors and is not opened") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is foreign: it is not the state of an optimizer")
    return value


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is foreign: it holds no JSON") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is foreign: it holds no JSON object")
    return value


def _said(kind: tuple[tuple[int, ...], torch.dtype] | None) -> str:
    return "absent" if kind is None else f"{kind[1]} of shape {kind[0]}"


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
