"""Checkpoints: `step-000500/` with the weights, their average, the optimizer and the counters.

    model.safetensors, ema.safetensors    the weights and their average
    power.safetensors                     the power-function averages, where there are any
    objective.safetensors                 what the objective learns, where it does
    optimizer.safetensors                 the optimizer's tensors, as `name.of.parameter/exp_avg`
    state.json                            the counters, the optimizer's other numbers, the run's fingerprint
    manifest.json                         the SHA-256 of each, written last

A checkpoint is written in a temporary folder beside its place, synchronised with the disk and renamed: it is there in
full or not at all. Nothing in these formats can run code. What is read is verified first, and whatever is wrong with it becomes
one CheckpointError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from sde_diffusion.io.atomic import new_folder, remove_folder, to_json
from sde_diffusion.io.finite import refuse_weights_not_finite
from sde_diffusion.training.checkpoints import manifest
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.checkpoints.tensors import (
    Tensors,
    fill,
    plain,
    read_object,
    read_tensors,
)
from sde_diffusion.training.errors import first_line
from sde_diffusion.training.step import SKIPPED

PARTS = ("model", "ema", "power", "objective", "optimizer")
"""What has tensors, by the names of the fields of `Checkpoint`."""
FILES = {part: f"{part}.safetensors" for part in PARTS}
NEEDED = ("model", "ema", "optimizer")
"""The parts that are always there."""
STATE = "state.json"

_MODEL, _EMA, _POWER, _OBJECTIVE, _OPTIMIZER = FILES.values()


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on: the tensors of the model, its averages, the optimizer and the objective by name, and what
    fits JSON.
    """

    step: int
    model: Tensors
    ema: Tensors
    optimizer: Tensors
    state: dict[str, Any]
    power: Tensors = field(default_factory=dict)
    objective: Tensors = field(default_factory=dict)


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write `folder/step-NNNNNN` and return it once the disk holds it.

    Raises OSError of one sentence, and leaves nothing behind, when it cannot be written; earlier checkpoints stay.
    """
    path = manifest.place(folder, checkpoint.step)
    if path.exists():
        raise FileExistsError(f"{path} exists and is not overwritten; resume from it or take another folder")
    try:
        with new_folder(path) as draft:
            for part, file in FILES.items():
                tensors = getattr(checkpoint, part)
                if tensors or part in NEEDED:
                    save_file(plain(tensors), draft / file)
            (draft / STATE).write_bytes(to_json(checkpoint.state))
            manifest.write(draft, checkpoint.step)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OSError(
            f"{path} was not saved ({first_line(error)}); earlier ones stand: make room, then resume"
        ) from error
    return path


def checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints in a folder by step, in rising order, verified or not."""
    return manifest.places(folder)


def verify(path: Path) -> set[str]:
    """The files of the checkpoint; CheckpointError unless each has the size and SHA-256 of its manifest."""
    needed = {STATE, *(FILES[part] for part in NEEDED)}
    return manifest.verify(Path(path), needed, f"{re.escape(_POWER)}|{re.escape(_OBJECTIVE)}")


def latest(folder: Path) -> Path | None:
    """The newest checkpoint that verifies, None when there are none at all; see `manifest.newest_whole`."""
    return manifest.newest_whole(folder, verify)


def load(path: Path) -> Checkpoint:
    """Verify and read a checkpoint; tensors arrive on the CPU.

    Raises CheckpointError for a damaged or foreign one, FloatingPointError for weights that are NaN or infinite.
    """
    path = Path(path)
    names = verify(path)
    found = Checkpoint(
        step=int(path.name.removeprefix("step-")),
        model=read_tensors(path / _MODEL),
        ema=read_tensors(path / _EMA),
        optimizer=read_tensors(path / _OPTIMIZER),
        state=read_object(path / STATE),
        power=read_tensors(path / _POWER) if _POWER in names else {},
        objective=read_tensors(path / _OBJECTIVE) if _OBJECTIVE in names else {},
    )
    refuse_weights_not_finite(found.model, path / _MODEL)
    refuse_weights_not_finite(found.ema, path / _EMA)
    refuse_weights_not_finite(found.objective, path / _OBJECTIVE)
    return found


def fingerprint_of(path: Path) -> dict[str, Any]:
    """Verify a checkpoint; what tells its run from others. Raises CheckpointError for a damaged or foreign one."""
    verify(path)
    found = read_object(Path(path) / STATE).get("fingerprint")
    if not isinstance(found, dict):
        raise CheckpointError(f"{path} is foreign: it does not say which run it is of")
    return found


def load_average(path: Path, model: nn.Module) -> int:
    """Verify a checkpoint and give `model` its averaged weights; the checkpoint's step. Raises what `load` does."""
    verify(path)
    weights = read_tensors(Path(path) / _EMA)
    refuse_weights_not_finite(weights, Path(path) / _EMA)
    fill(model, weights, Path(path))
    return int(Path(path).name.removeprefix("step-"))


def weights_changed(path: Path) -> bool:
    """Verify a checkpoint; whether any of its steps changed a weight, which a skipped one does not."""
    verify(path)
    try:
        return int(read_object(Path(path) / STATE)["metrics"][SKIPPED]) < int(Path(path).name.removeprefix("step-"))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is foreign: it does not say how many steps were skipped") from error


def prune(folder: Path, keep: int, step: int) -> None:
    """Remove all but the `keep` newest checkpoints up to `step`, the one just saved; later ones are not touched."""
    past = [path for number, path in checkpoints(folder).items() if number <= step]
    for path in past[:-keep]:
        remove_folder(path)


def quarantine(folder: Path, step: int) -> None:
    """Rename what is newer than `step`, which a fall-back left behind, so that its names are free; delete nothing."""
    for number, path in checkpoints(folder).items():
        if number > step:
            others = len(list(path.parent.glob(f"damaged-{path.name}*")))
            path.rename(path.with_name(f"damaged-{path.name}" + (f"-{others}" if others else "")))
