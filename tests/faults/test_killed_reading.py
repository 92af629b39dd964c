"""Killed in every step while files are read, with and without workers, alone and as two processes: the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from sde_diffusion.data import by_name, hugging_face
from sde_diffusion.data.stream import StreamTable
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from tests.faults import reading
from tests.training.conftest import STEPS
from tests.training.left_behind import contents


def pictures(files: Path):
    """Picture files, decoded for each batch."""
    return reading.Flat(by_name("image_folder", root=str(files), held_out=0.1))


def shards(files: Path):
    """Pictures in tar shards."""
    return reading.Flat(by_name("image_shards", path=str(files), held_out=0.1))


def stream(files: Path):
    """Picture files in the order of their names, as a stream with a state."""
    columns = hugging_face.Columns("x", "label", ("0", "1", "2"))
    return StreamTable(reading.OneAfterAnother(files), columns, columns.names)


def shard_stream(files: Path):
    """Arrays in tar shards, one after another, shuffled in blocks."""
    return by_name("shard_stream", path=str(files), held_out=0.1, shuffle=3)


SOURCES = {"files": (pictures, reading.write_pictures), "shards": (shards, reading.write_shards)}
STREAMS = {"stream": (stream, reading.write_pictures), "shard stream": (shard_stream, reading.write_array_shards)}


def test_other_files_make_another_run(ended, same, tmp_path):
    """What shows that the comparison below can fail: other files make another run."""
    for name in ("one", "two"):
        reading.write_pictures(tmp_path / name)
    (tmp_path / "two/class-0/00.png").write_bytes((tmp_path / "two/class-1/01.png").read_bytes())
    for name in ("one", "two"):
        ended(reading.Job(pictures, tmp_path / name, 0), tmp_path / f"run-{name}", 1, name=name)
    assert not same(contents(tmp_path / "run-one")["model"], contents(tmp_path / "run-two")["model"])


def everyday(*what):
    """Killed twice, in the steps 0 and 5."""
    return pytest.param(*what, 5, id="-".join(map(str, (*what, "some"))))


CI = [("stream", 1, "replicated", 0), ("files", 1, "replicated", 2)]
"""The cases in which CI kills every step; those of all others are marked weekly."""


def every_step(*what):
    marks = pytest.mark.slow if what in CI else pytest.mark.weekly
    return pytest.param(*what, 1, id="-".join(map(str, (*what, "all"))), marks=marks)


@pytest.mark.parametrize(
    ("source", "size", "engine", "workers", "every"),
    [
        *(everyday(source, 1, "replicated", 2) for source in SOURCES),
        everyday("shard stream", 1, "replicated", 2),
        pytest.param("shards", 2, "sharded", 2, 5, id="shards-2-sharded-2-some", marks=pytest.mark.slow),
        *(
            every_step(name, *shared, n)
            for name in STREAMS
            for shared in ((1, "replicated"), (2, "replicated"), (2, "sharded"))
            for n in (0, 2)
        ),
        *(every_step(source, 1, "replicated", workers) for source in SOURCES for workers in (0, 2)),
        *(
            every_step(source, 2, engine, n)
            for source in SOURCES
            for engine in ("replicated", "sharded")
            for n in (0, 2)
        ),
    ],
)
def test_killed_in_every_step(ended, same, attempted, tmp_path, source, size, engine, workers, every):
    """Weights, averages, moments, counters and losses; of two processes they die in turns, and both begin again."""
    read, write = (SOURCES | STREAMS)[source]
    job = reading.Job(read, write(tmp_path / "files"), workers, engine)
    ended(job, tmp_path / "straight", size)
    whole, parts = contents(tmp_path / "straight"), 2 // size

    def attempt(k):
        folder = tmp_path / str(k)
        ended(job, folder, size, killed=(k % size, k * parts), name=f"{k}-killed")
        assert list(checkpoints(folder / "checkpoints")) == list(range(1, k + 1))
        ended(job, folder, size, name=f"{k}-again")
        assert same(contents(folder), whole), "other weights, moments, counters or losses"

    attempted(range(0, STEPS, every), attempt)
