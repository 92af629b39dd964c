"""A run that was killed in the middle of any step and goes on is, to the last bit, the run that nobody killed.

`tests/training/test_resume.py` closes runs after every step and exchanges their checkpoints; here the process is killed,
and every single number of a checkpoint is dropped in turn.
"""

from __future__ import annotations

import copy
import shutil
import signal

import pytest
import torch
from torch import Tensor

from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.training import load
from sde_diffusion.training.checkpoints.checkpoint import (
    Checkpoint,
    CheckpointError,
    checkpoints,
    save,
)
from tests.faults import bodies
from tests.faults.conftest import one_in
from tests.training.conftest import STEPS
from tests.training.left_behind import contents

OFTEN = {"checkpoint_every": 1, "log_every": 4}


class Watching:
    """The usual objective; it remembers the events, labels, noise and dropout's generator of each call.

    At the given steps, counted from `start`, the loss is not a number.
    """

    def __init__(self, start: int = 0, spoilt: tuple[int, ...] = ()) -> None:
        self.step, self.spoilt, self.seen = start, spoilt, []

    def __call__(self, denoiser, sde, x0, generator, **condition):
        self.step += 1
        state = {"own": generator.get_state(), "global": torch.get_rng_state()}
        self.seen.append({"events": x0.clone(), "labels": condition["label"].clone(), **state})
        losses = DenoisingScoreMatching()(denoiser, sde, x0, generator, **condition)
        return losses * float("nan") if self.step in self.spoilt else losses


@pytest.fixture
def straight(run, tmp_path):
    """The folder of the run that nobody kills, and what its objective saw."""
    watching = Watching()
    run(tmp_path / "straight", watching, **OFTEN).go()
    return tmp_path / "straight", watching.seen


@one_in(4)
def test_killed_in_every_step(run, same, child, straight, attempted, tmp_path, every):
    """Weights, average, moments, counters, reports; and the events, labels and generators of each later step."""
    whole, seen = straight

    def attempt(k):
        folder = tmp_path / str(k)
        with child(bodies.killed_in_step, folder, k, OFTEN, name=str(k)) as killed:
            assert killed.ended() == -signal.SIGKILL
        assert list(checkpoints(folder / "checkpoints")) == list(range(1, k + 1))
        watching = Watching()
        run(folder, watching, **OFTEN).go()
        assert same(watching.seen, seen[k:]), "other events, labels or noise"
        assert same(contents(folder), contents(whole)), "other weights, moments, counters or reports"

    attempted(range(0, STEPS, every), attempt)


SPOILT, AT = (2,), 6
"""The loss of step 2 is not a number, so that at step `AT` the steps skipped are counted."""

IDLE = {
    *(("state", "fingerprint", name) for name in ("seed", "weight_decay")),
    *(("state", "metrics", number) for number in (4, 5)),
    ("state", "asked", 0, 0),
}
"""What is zero at a checkpoint: settings at zero; the step at which the run was first asked for; the row of skipped steps, for `test_not_finite.py`; the longest row."""

NOTED = ("threads", "asked")
"""Decides the last bits on other machines alone, and the history of the number of steps, which decides nothing."""

COPIED = ("ema", "backbone.calls")
"""A buffer of the average, which each update copies anew from the model."""


def leaves(value, path=()):
    """The paths to all tensors and plain values."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, part in items for leaf in leaves(part, (*path, key))]
    return [path]


def without(checkpoint: Checkpoint, path: tuple) -> Checkpoint:
    """A checkpoint with one leaf at zero."""
    whole = copy.deepcopy(vars(checkpoint))
    place = whole
    for key in path[:-1]:
        place = place[key]
    value = place[path[-1]]
    place[path[-1]] = torch.zeros_like(value) if isinstance(value, Tensor) else type(value)(0)
    return Checkpoint(**whole)


def is_zero(checkpoint: Checkpoint, path: tuple) -> bool:
    value = vars(checkpoint)
    for key in path:
        value = value[key]
    return not bool(value.any()) if isinstance(value, Tensor) else not value


@one_in(8)
def test_every_single_number_of_a_checkpoint_is_needed(run, same, attempted, tmp_path, every):
    """What shows that the test above can fail: without any one tensor or counter the run ends elsewhere, or refuses.

    Every day one in eight of the tensors, and all that are no tensors.
    """
    straight = tmp_path / "straight"
    run(straight, Watching(0, SPOILT), **OFTEN).go()
    whole, end = load(checkpoints(straight / "checkpoints")[AT]), contents(straight)
    paths = leaves({name: value for name, value in vars(whole).items()})
    assert {path for path in paths if is_zero(whole, path)} == IDLE, "the rest would not be tested"
    needed = [path for path in paths if path not in (*IDLE, COPIED) and path[1:2] not in [(name,) for name in NOTED]]
    plain = [path for path in needed if path[0] in ("step", "state")]
    needed = plain + [path for path in needed if path not in plain][::every]

    def attempt(path):
        folder = tmp_path / "poor"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(straight, folder)
        shutil.rmtree(folder / "checkpoints")
        save(folder / "checkpoints", without(whole, path))
        again = run(folder, Watching(AT, SPOILT), **OFTEN)
        try:
            again.go()
        except CheckpointError:
            return
        ended = contents(folder)
        assert not same(ended, end), "nobody would notice its loss"

    attempted(needed, attempt)
