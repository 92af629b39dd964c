"""Files made to do harm, under a manifest that vouches for them: refused in a sentence, nothing run, little memory.

`tests/training/test_checkpoint.py` has more kinds; here a child reads them with 128 MiB beyond what a good checkpoint
needs, and the peak of its memory is measured.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import pickle
import shutil
import struct
import sys
import zipfile

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


class Evil:
    """Unpickled, it makes a folder, the canary."""

    def __init__(self, canary) -> None:
        self.canary = str(canary)

    def __reduce__(self):
        return os.mkdir, (self.canary,)


def safetensors(header, body=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype, shape, *offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def archived(pickled: bytes, storage=b"", compression=zipfile.ZIP_STORED, repeated=1, size=0) -> bytes:
    """A file as torch.save writes it, with any pickle in it; `repeated` names stand for one and the same storage."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
        if size:
            with archive.open("archive/data/0", "w") as file:
                for _ in range(size):
                    file.write(bytes(2**20))
        else:
            archive.writestr("archive/data/0", storage)
        for number in range(1, repeated):
            again = copy.copy(archive.getinfo("archive/data/0"))
            again.filename = again.orig_filename = f"archive/data/{number}"
            archive.filelist.append(again)
    return content.getvalue()


class Pickler(pickle.Pickler):
    """Tensors as torch.save pickles them, each with a storage of its own name."""

    def __init__(self, file) -> None:
        super().__init__(file, protocol=2)
        self.names = itertools.count()

    def persistent_id(self, thing):
        if isinstance(thing, torch.storage.TypedStorage):
            return ("storage", torch.FloatStorage, str(next(self.names)), "cpu", thing._size())
        return None


def pickled(value) -> bytes:
    content = io.BytesIO()
    Pickler(content).dump(value)
    return content.getvalue()


def deflated():
    """256 MiB of zeros in 256 KiB."""
    tensor = torch.zeros(1).expand(2**26)
    return archived(pickled({"state": tensor}), compression=zipfile.ZIP_DEFLATED, size=256)


def overlapping():
    """A file of 4 MiB that lists its only storage 64 times."""
    tensors = {number: torch.zeros(2**20) for number in range(64)}
    return archived(pickled(tensors), bytes(2**22), repeated=64)


LARGE = b"\x80\x02}X\x01\x00\x00\x00acbuiltins\nbytearray\nJ\x00\x00\x00\x06\x85Rs."
"""The pickle of {"a": bytearray(96 * 2**20)}, in 40 bytes; torch's own list of harmless names lets it pass."""

WEIGHTS = {
    "a pickle": lambda canary: pickle.dumps(Evil(canary)),
    "an archive of torch.save with a pickle": lambda canary: archived(pickle.dumps({"w": Evil(canary)}, protocol=2)),
    "header of 1e12 bytes": lambda _: struct.pack("<Q", 10**12) + b"{}",
    "shape of 2^40": lambda _: safetensors({"w": entry("F32", [2**40], 0, 2**42)}, b"1234"),
    "shape of 2^40 in little room": lambda _: safetensors({"w": entry("F32", [2**40], 0, 4)}, b"1234"),
    "shape that wraps around to 4": lambda _: safetensors({"w": entry("U8", [2**32, 2**32, 4], 0, 4)}, b"1234"),
    "overlap": lambda _: safetensors({n: entry("F32", [1], 0, 4) for n in "ab"}, b"1234"),
    "a thousand overlaps": lambda _: safetensors(
        {str(n): entry("U8", [2**20], 0, 2**20) for n in range(1000)}, bytes(2**20)
    ),
    "a deep header": lambda _: struct.pack("<Q", 100_000) + b"[" * 100_000,
}
OPTIMIZERS = {
    "a pickle": lambda canary: pickle.dumps({"state": Evil(canary)}),
    "an archive with a pickle": lambda canary: archived(pickle.dumps({"state": Evil(canary)}, protocol=2)),
    "a zip bomb": lambda _: deflated(),
    "storages on top of each other": lambda _: overlapping(),
    "a small pickle of a large array": lambda _: archived(LARGE),
    "no archive": lambda _: b"PK\x03\x04" + bytes(100),
}
CASES = [
    *((name, kind) for name in ("model.safetensors", "ema.safetensors") for kind in WEIGHTS),
    *(("optimizer.pt", kind) for kind in OPTIMIZERS),
]


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
        canary, folder = tmp_path / f"canary-{number}", tmp_path / str(number) / good.name
        shutil.copytree(good, folder)
        forged(folder, name, (OPTIMIZERS if name == "optimizer.pt" else WEIGHTS)[kind](canary))
        with child(bodies.load_within, folder, good, ROOM, name=str(number)) as reader:
            assert reader.ended() == 2, reader.words() or "it was taken"
            said, (peak,) = reader.words().strip(), reader.acknowledged()
        assert "foreign" in said, said
        assert is_sentence(said), said
        assert peak < MOST * 1024, f"{peak / 1024:.0f} MiB"
        assert not canary.exists()
        shutil.rmtree(folder)

    attempted(CASES[::every], attempt)


def test_the_attacks_are_attacks(tmp_path):
    """The canary sings where pickle opens the file; torch.load inflates the bombs, weights only or not."""
    for make in (WEIGHTS["a pickle"], OPTIMIZERS["a pickle"]):
        pickle.loads(make(tmp_path / "canary"))
        (tmp_path / "canary").rmdir()
    assert len(deflated()) < 2**19
    assert len(overlapping()) < 2**23
    whole = torch.load(io.BytesIO(overlapping()), weights_only=True)
    assert sum(tensor.untyped_storage().nbytes() for tensor in whole.values()) == 2**28
    assert len(torch.load(io.BytesIO(archived(LARGE)), weights_only=True)["a"]) == 96 * 2**20


def test_what_a_run_saves_is_not_taken_for_an_attack(run, same, tmp_path):
    run(tmp_path).go(reports=3)
    assert len(load(checkpoints(tmp_path / "checkpoints")[3]).optimizer["state"]) > 5


MANY = torch.zeros((), dtype=torch.float64).expand(2**26)

FORGED = {
    "moments that pose as many": lambda c: {"optimizer": with_moment(c, MANY)},
    "moments of another dtype": lambda c: {"optimizer": with_moment(c, c.optimizer["state"][0]["exp_avg"].double())},
    "moments for no parameter": lambda c: {"optimizer": {"state": {10**6: c.optimizer["state"][0]}}},
    "a count that is a word": lambda c: {"state": c.state | {"averaged": "many"}},
    "a count below zero": lambda c: {"state": c.state | {"averaged": -1}},
    "no count": lambda c: {"state": {name: value for name, value in c.state.items() if name != "averaged"}},
    "sums that are words": lambda c: {"state": c.state | {"tally": ["a"] * 6}},
    "sums that are not finite": lambda c: {"state": c.state | {"tally": [float("nan")] * 6}},
    "too few sums": lambda c: {"state": c.state | {"tally": [0.0]}},
}


def with_moment(checkpoint, value):
    state = checkpoint.optimizer["state"]
    return {**checkpoint.optimizer, "state": {**state, 0: state[0] | {"exp_avg": value}}}


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
