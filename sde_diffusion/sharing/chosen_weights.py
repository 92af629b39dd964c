"""Which of a run's averages is read: that of the newest whole checkpoint, of the checkpoint of a step, or the best one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from pathlib import Path

    from sde_diffusion.training.run_folder import RunFolder

NEWEST, BEST = "newest", "best"


@dataclass(frozen=True)
class Weights:
    """An average on the disk that was verified.

    Attributes:
        name: of its folder.
        step: after which it was taken.
        model: the digest of the description that it belongs to.
        settings: those of the training.
        trained: whether a step has changed a weight.
        fill: gives a model these weights.
    """

    name: str
    step: int
    model: str | None
    settings: dict[str, Any]
    trained: bool
    fill: Callable[[nn.Module], object]


def weights_of(run: RunFolder, checkpoint: str | int | None = None) -> Weights:
    """The average that is asked for: `newest` (where nothing is), `best`, or the number of a step with a checkpoint.

    Raises ValueError where it is not there, CheckpointError (a ValueError) for a damaged or foreign one.
    """
    if checkpoint == BEST:
        return _best(run)
    return _checkpoint(_newest(run) if checkpoint in (None, NEWEST) else _of_step(run, str(checkpoint)))


def _best(run: RunFolder) -> Weights:
    from sde_diffusion.training.checkpoints import best

    found = best.find(run.best)
    name = f"best of {found.by}, step {found.step}"
    return Weights(name, found.step, found.model, found.settings, found.trained, lambda m: best.load_best(run.best, m))


def _checkpoint(path: Path) -> Weights:
    from sde_diffusion.training.checkpoints import checkpoint, manifest

    stored = checkpoint.fingerprint_of(path)
    model, trained = stored.get("extra", {}).get("model"), checkpoint.weights_changed(path)
    step = manifest.step_of(path)
    return Weights(path.name, step, model, stored, trained, lambda network: checkpoint.load_average(path, network))


def _newest(run: RunFolder) -> Path:
    from sde_diffusion.training import latest

    newest = latest(run.checkpoints)
    if newest is None:
        in_shares = ", but in shares: go on with its training in one process, which saves whole ones"
        none = in_shares if run.shares.is_dir() else " yet; run its training until the first one"
        raise ValueError(f"{run.path} has no checkpoint{none}")
    return newest


def _of_step(run: RunFolder, step: str) -> Path:
    from sde_diffusion.training.checkpoints.checkpoint import checkpoints

    there = checkpoints(run.checkpoints)
    if not step.isdigit() or int(step) not in there:
        steps = ", ".join(map(str, there)) or "none"
        raise ValueError(f"a checkpoint is newest, best or one of the steps {steps} of {run.path}, got {step[:40]!r}")
    return there[int(step)]
