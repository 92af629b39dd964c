"""Several processes train what one would: on the CPU, over gloo, started by torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
import torch

from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.training import ProcessGroup, load
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from sde_diffusion.training.checkpoints.snapshots import open_snapshot, snapshots
from tests.training.two_processes import SETTINGS, losses

ROOT = Path(__file__).parents[2]


def started(job: str, folder: Path, engine: str, restarts: int = 0) -> subprocess.CompletedProcess:
    """Two processes, to their end."""
    folder.mkdir(exist_ok=True)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"
    }  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = [str(ROOT / "tests" / "training" / "two_processes.py"), job, str(folder), engine]
    again = f"--max-restarts={restarts}"
    return subprocess.run([*command, again, *script], env=environment, capture_output=True, text=True, timeout=150)


def torchrun(job: str, folder: Path, engine: str, restarts: int = 0) -> list[dict]:
    """What each process saw."""
    done = started(job, folder, engine, restarts)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


def last(folder: Path):
    return load(checkpoints(folder / "checkpoints")[SETTINGS.steps])


def assert_close(a, b, tolerance: float) -> None:
    for kind in ("model", "ema", "power"):
        assert getattr(a, kind).keys() == getattr(b, kind).keys()
        for name, value in getattr(a, kind).items():
            torch.testing.assert_close(value, getattr(b, kind)[name], rtol=tolerance, atol=tolerance)


def assert_same_snapshots(a: Path, b: Path, tolerance: float) -> None:
    """Of steps 5, 10 and 12, verified, whole tensors under the same names."""
    assert list(snapshots(a / "snapshots")) == list(snapshots(b / "snapshots")) == [5, 10, SETTINGS.steps]
    for one, other in zip(snapshots(a / "snapshots").values(), snapshots(b / "snapshots").values(), strict=True):
        one, other = open_snapshot(one), open_snapshot(other)
        assert (one.lengths, one.fingerprint) == (other.lengths, other.fingerprint)
        for length in one.lengths:
            mine, theirs = one.average(length), other.average(length)
            assert mine.keys() == theirs.keys()
            for name, value in mine.items():
                torch.testing.assert_close(value, theirs[name], rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process, from which the others may differ by the order of their additions only."""
    folder = tmp_path_factory.mktemp("alone")
    return folder, losses(folder / "run", ProcessGroup(), "replicated")


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """`pair(engine)`: the folder of an undisturbed run of two processes, and what each saw; run once."""

    @cache
    def of(engine):
        folder = tmp_path_factory.mktemp(f"two-{engine}")
        return folder, torchrun("train", folder, engine)

    return of


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_two_processes_follow_the_curve_of_one(alone, pair, engine):
    """The same losses, and a checkpoint of whole tensors, readable by one process, of the same weights."""
    folder, ranks = pair(engine)
    assert ranks[0] == ranks[1]
    assert ranks[0]["losses"] == pytest.approx(alone[1], rel=2e-5)
    assert len(set(alone[1])) == SETTINGS.steps, "a curve that does not move shows nothing"
    assert_close(last(folder / "run"), last(alone[0] / "run"), 2e-5)
    assert_same_snapshots(folder / "run", alone[0] / "run", 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_workers_of_two_processes_change_no_bit(pair, tmp_path, engine):
    (folder, plain), ranks = pair(engine), torchrun("workers", tmp_path, engine)
    assert ranks == plain
    assert_close(last(folder / "run"), last(tmp_path / "run"), 0)


@pytest.mark.parametrize(
    ("engine", "moment"),
    [
        pytest.param(engine, when, marks=pytest.mark.slow)
        for engine, when in (("sharded", "stop"), ("replicated", "stop"), ("replicated", "between"))
    ],
)
def test_an_interrupt_of_one_stops_both_and_one_process_goes_on(alone, tmp_path, engine, moment):
    """Within a step or between two; another world size on resume: what one process goes on with is the rest of the curve."""
    ranks = torchrun(moment, tmp_path, engine)
    assert {rank["ended"] for rank in ranks} == {"KeyboardInterrupt", "PeerError"}
    (newest,) = list(checkpoints(tmp_path / "run" / "checkpoints"))[-1:]
    assert newest in (5, 6)
    rest = losses(tmp_path / "run", ProcessGroup(), "replicated")
    assert rest == pytest.approx(alone[1][newest:], rel=2e-5)
    assert_close(last(tmp_path / "run"), last(alone[0] / "run"), 2e-5)
    assert_same_snapshots(tmp_path / "run", alone[0] / "run", 2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_a_finished_run_hands_back_its_weights_to_every_process(tmp_path, engine):
    """Asked for again it trains nothing, and the caller's model and average are those of the last checkpoint."""
    ranks = torchrun("again", tmp_path, engine)
    assert all(rank["ended"] == "well" and set(rank["losses"]) == {0.0} for rank in ranks)


def absolute(checkpoint) -> float:
    """What the observer of `two_processes` finds in an average."""
    return float(sum(value.double().abs().sum() for value in checkpoint.ema.values()))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_observers_of_two_processes_change_nothing(pair, tmp_path, engine):
    """Whole averages are seen, of shares too; an error in a look stops nobody; all ends on the bits of a run unseen."""
    (folder, plain), ranks = pair(engine), torchrun("watched", tmp_path, engine)
    assert ranks[0]["losses"] == plain[0]["losses"]
    assert ranks[0]["ended"] == ranks[1]["ended"] == "well"
    one, other = last(folder / "run"), last(tmp_path / "run")
    for kind in ("model", "ema"):
        assert all(torch.equal(value, getattr(other, kind)[name]) for name, value in getattr(one, kind).items())
    lines = [line for line in metrics_file.read(tmp_path / "run" / "metrics.jsonl") if "held_out_loss" in line]
    seen = {line["step"]: line["held_out_loss"] for line in lines}
    kept = {step: load(path) for step, path in checkpoints(tmp_path / "run" / "checkpoints").items()}
    assert seen == pytest.approx({step: absolute(checkpoint) for step, checkpoint in kept.items()}, rel=1e-12)
    assert list(seen) == [4, 8, 12]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_an_interrupt_of_a_look_stops_both(tmp_path, engine):
    """It waits for the end of the look, as for that of a step; then both stop after the same step, which is saved."""
    ranks = torchrun("struck", tmp_path, engine)
    assert {rank["ended"] for rank in ranks} == {"KeyboardInterrupt", "PeerError"}
    assert max(checkpoints(tmp_path / "run" / "checkpoints")) in (5, 6)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_two_processes_go_on_where_two_stopped(alone, tmp_path, engine):
    torchrun("stop", tmp_path, engine)
    stopped = max(checkpoints(tmp_path / "run" / "checkpoints"))
    ranks = torchrun("train", tmp_path, engine)
    assert ranks[0]["losses"] == pytest.approx(alone[1][stopped:], rel=2e-5)
    assert_close(last(tmp_path / "run"), last(alone[0] / "run"), 2e-5)
    assert_same_snapshots(tmp_path / "run", alone[0] / "run", 2e-5)


@pytest.mark.slow
def test_a_killed_process_costs_one_restart(alone, tmp_path):
    """SIGKILL of one at its step 5: both begin again at the checkpoint of step 4 and end where one would."""
    ranks = torchrun("kill", tmp_path, "replicated", restarts=1)
    assert ranks[0]["losses"] == pytest.approx(alone[1][4:], rel=2e-5)
    assert_close(last(tmp_path / "run"), last(alone[0] / "run"), 2e-5)
    assert_same_snapshots(tmp_path / "run", alone[0] / "run", 2e-5)


@pytest.mark.slow
def test_a_hanging_process_ends_the_run_in_bounded_time(tmp_path):
    """The other waits for `timeout`, here 10 s, and fails; the checkpoint from before stands."""
    begun = time.monotonic()
    done = started("hang", tmp_path, "replicated")
    assert time.monotonic() - begun < 90
    assert done.returncode != 0
    assert list(checkpoints(tmp_path / "run" / "checkpoints")) == [4]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_what_is_not_finite_on_one_is_skipped_by_all(tmp_path, engine):
    ranks = torchrun("nan", tmp_path, engine)
    assert ranks[0]["ended"] == ranks[1]["ended"] == "well"
    state = last(tmp_path / "run").state
    assert state["metrics"][3] == 1, "one step was skipped"
    finite = last(tmp_path / "run").model.values()
    assert all(bool(value.isfinite().all()) for value in finite)


def test_parts_that_cannot_be_shared_are_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be shared evenly by 3 processes"):
        losses(tmp_path / "run", ProcessGroup(0, 3, None), "replicated")
