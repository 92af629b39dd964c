"""The best averages of a run by a number of its reports: `best/step-000500/`, which no later checkpoint removes.

    ema.safetensors    the whole state of the averaged model
    best.json          by which number, its value, and of which model and settings it is
    manifest.json      the SHA-256 of each, written last

Like a checkpoint it is there in full or not at all, and is verified before it is read. A run may go on from any of its
checkpoints, so the best one up to each of them stays too, for as long as the checkpoint does: what is best is a function of
the reports alone, whether the run was interrupted or not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from sde_diffusion.io.atomic import new_folder, remove_folder, to_json
from sde_diffusion.io.finite import refuse_weights_not_finite
from sde_diffusion.training.checkpoints import manifest
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.checkpoints.tensors import Tensors, fill, plain, read_object, read_tensors
from sde_diffusion.training.errors import first_line

_EMA, _FACTS = "ema.safetensors", "best.json"


@dataclass(frozen=True)
class Best:
    """What is known of an average besides its weights.

    Attributes:
        step: after which it was taken.
        by: the number of the report.
        meaning: how that number was measured; numbers of another meaning are not compared.
        value: the number, smaller is better.
        model: the digest of the model's description; None for a run without one.
        settings: those of the training.
        trained: whether any step up to here changed a weight.
    """

    step: int
    by: str
    meaning: str
    value: float
    model: str | None
    settings: dict[str, Any]
    trained: bool

    def alike(self, other: Best) -> bool:
        """Whether both are of one number, measured in one way."""
        return (self.by, self.meaning) == (other.by, other.meaning)


def save(folder: Path, best: Best, weights: Tensors) -> Path:
    """Write `folder/step-NNNNNN` and return it once the disk holds it; one of the same step is replaced.

    Raises OSError of one sentence, and leaves nothing behind, when it cannot be written; earlier ones stay.
    """
    path = manifest.place(folder, best.step)
    if path.exists():
        remove_folder(path)
    try:
        with new_folder(path) as draft:
            save_file(plain(weights), draft / _EMA)
            (draft / _FACTS).write_bytes(to_json(asdict(best)))
            manifest.write(draft, best.step)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OSError(f"{path} was not saved ({first_line(error)}); earlier ones stand: make room") from error
    return path


def read(path: Path) -> Best:
    """Verify one. Raises CheckpointError, in one sentence, for a damaged or foreign one."""
    manifest.verify(Path(path), {_EMA, _FACTS})
    try:
        found = Best(**read_object(Path(path) / _FACTS))
        sound = math.isfinite(found.value) and found.step == manifest.step_of(Path(path))
        if not (sound and isinstance(found.settings, dict) and isinstance(found.trained, bool)):
            raise ValueError("its numbers are not those of an average")
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{Path(path) / _FACTS} is foreign: it is not that of a best average") from error
    return found


def all_in(folder: Path) -> list[Best]:
    """Those of a folder that verify, in rising order of their step."""
    found = []
    for path in manifest.places(folder).values():
        try:
            found.append(read(path))
        except CheckpointError:
            continue
    return found


def best_of(found: Iterable[Best], step: float = math.inf) -> Best | None:
    """The one of the smallest value up to `step`, the first of equal ones; None where there is none."""
    return min((one for one in found if one.step <= step), key=lambda one: (one.value, one.step), default=None)


def better(folder: Path, new: Best) -> bool:
    """Whether `new` is better than all before it that were measured in the same way."""
    known = best_of((one for one in all_in(folder) if one.alike(new)), new.step - 1)
    return math.isfinite(new.value) and (known is None or new.value < known.value)


def prune(folder: Path, like: Best, checkpoints: Iterable[int]) -> None:
    """Remove all but the best one like `like`, the best one up to each of the steps of `checkpoints`, and what is damaged.

    Nothing is removed where there is none like it.
    """
    found = all_in(folder)
    alike = [one for one in found if one.alike(like)]
    if not alike:
        return
    kept = {one.step for step in (*checkpoints, math.inf) if (one := best_of(alike, step)) is not None}
    for one in found:
        if one.step not in kept:
            remove_folder(manifest.place(folder, one.step))


def load_best(folder: Path, model: nn.Module) -> Best:
    """Give `model` the best average of a folder. Raises CheckpointError where there is none that is whole."""
    best = find(folder)
    path = manifest.place(folder, best.step)
    weights = read_tensors(path / _EMA)
    refuse_weights_not_finite(weights, path / _EMA)
    fill(model, weights, path)
    return best


def find(folder: Path) -> Best:
    """The best of a folder. Raises CheckpointError where there is none that is whole."""
    best = best_of(all_in(folder))
    if best is None:
        raise CheckpointError(
            f"{folder} holds no best average that is whole; train with held-out data and --watch.best held_out_loss, or take "
            "the newest checkpoint"
        )
    return best
