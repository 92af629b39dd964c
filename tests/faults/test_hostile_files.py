"""Files made to do harm, under a manifest that vouches for them: refused in a sentence, nothing run, little memory.

`tests/training/test_checkpoint.py` has more kinds; here a child reads them with 128 MiB beyond what a good checkpoint
needs, and the peak of its memory is measured.
"""

from __future__ import annotations

import json
import shutil
import struct
import sys

import pytest
import torch

from sde_diffusion.training import Checkpoint, load, save
from sde_diffusion.training.checkpoints import manifest
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from tests.faults import bodies
from tests.faults.conftest import one_in

ROOM, MOST = 128, 48
"""MiB that the child may ask for, and that it may use at its peak."""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the memory is read from /proc and bounded by RLIMIT_AS"
)


def safetensors(header, body=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype, shape, *offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


WEIGHTS = {
    "header of 1e12 bytes": struct.pack("<Q", 10**12) + b"{}",
    "shape of 2^40": safetensors({"w": entry("F32", [2**40], 0, 2**42)}, b"1234"),
    "shape of 2^40 in little room": safetensors({"w": entry("F32", [2**40], 0, 4)}, b"1234"),
    "shape that wraps around to 4": safetensors({"w": entry("U8", [2**32, 2**32, 4], 0, 4)}, b"1234"),
    "overlap": safetensors({n: entry("F32", [1], 0, 4) for n in "ab"}, b"1234"),
    "a thousand overlaps": safetensors({str(n): entry("U8", [2**20], 0, 2**20) for n in range(1000)}, bytes(2**20)),
    "a deep header": struct.pack("<Q", 100_000) + b"[" * 100_000,
}
CASES = [(name, kind) for name in ("model.safetensors", "ema.safetensors", "optimizer.safetensors") for kind in WEIGHTS]


def forged(folder, name, content):
    (folder / name).write_bytes(content)
    (folder / "manifest.json").unlink()
    manifest.write(folder, 3)


@one_in(2)
def test_hostile_files_are_refused_in_little_memory(run, child, attempted, tmp_path, is_sentence, every):
    run(tmp_path / "run").go(reports=3)
    good = checkpoints(tmp_path / "run/checkpoints")[3]

    def attempt(case):
        (name, kind), number = case, CASES.index(case)
        folder = tmp_path / str(number) / good.name
        shutil.copytree(good, folder)
        forged(folder, name, WEIGHTS[kind])
        with child(bodies.load_within, folder, good, ROOM, name=str(number)) as reader:
            assert reader.ended() == 2, reader.words() or "it was taken"
            said, (peak,) = reader.words().strip(), reader.acknowledged()
        assert "foreign" in said, said
        assert is_sentence(said), said
        assert peak < MOST * 1024, f"{peak / 1024:.0f} MiB"
        shutil.rmtree(folder)

    attempted(CASES[::every], attempt)


def test_what_a_run_saves_is_not_taken_for_an_attack(run, same, tmp_path):
    run(tmp_path).go(reports=3)
    assert len(load(checkpoints(tmp_path / "checkpoints")[3]).optimizer) > 5


FORGED = {
    "moments of another shape": lambda c: {"optimizer": with_moment(c, torch.zeros(2**20))},
    "moments of another dtype": lambda c: {"optimizer": with_moment(c, c.optimizer[FIRST].double())},
    "moments for no parameter": lambda c: {"optimizer": {"nothing/exp_avg": c.optimizer[FIRST]}},
    "a count that is a word": lambda c: {"state": c.state | {"averaged": "many"}},
    "a count below zero": lambda c: {"state": c.state | {"averaged": -1}},
    "no count": lambda c: {"state": {name: value for name, value in c.state.items() if name != "averaged"}},
    "sums that are words": lambda c: {"state": c.state | {"metrics": ["a"] * 6}},
    "sums that are not finite": lambda c: {"state": c.state | {"metrics": [float("nan")] * 6}},
    "too few sums": lambda c: {"state": c.state | {"metrics": [0.0]}},
}


FIRST = "backbone.inner.blocks.0.body.0.bias/exp_avg"


def with_moment(checkpoint, value):
    assert FIRST in checkpoint.optimizer
    return checkpoint.optimizer | {FIRST: value}


def test_counters_and_moments_of_the_wrong_kind(run, child, attempted, tmp_path, is_sentence):
    """A whole checkpoint that torch reads without a word, but that no run has saved; memory as above."""
    run(tmp_path / "run").go(reports=3)
    good = load(checkpoints(tmp_path / "run/checkpoints")[3])

    def attempt(kind):
        folder = tmp_path / kind
        save(folder / "checkpoints", Checkpoint(**(vars(good) | FORGED[kind](good))))
        with child(bodies.resume_within, folder, ROOM, name=kind) as resumed:
            assert resumed.ended() == 2, resumed.words() or "it went on"
            said, (peak,) = resumed.words().strip(), resumed.acknowledged()
        assert "foreign" in said, said
        assert is_sentence(said), said
        assert peak < MOST * 1024, f"{peak / 1024:.0f} MiB"

    attempted(FORGED, attempt)
