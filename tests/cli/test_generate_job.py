"""A job of drawing: shared by two processes, and going on where it was stopped, with the bits of one that was neither."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sde_diffusion.cli import generate_job as drawing_job
from sde_diffusion.cli.generate_job import (
    Job,
    delete_chunks,
    generate_into,
    weights_digest,
)
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import load_model
from sde_diffusion.cli.sampler_specs import sampler
from sde_diffusion.evaluation.generate import samples_of
from sde_diffusion.training import ProcessGroup

ROOT = Path(__file__).parents[2]
JOB = Job(sampler("data_adams"), count=22, seed=5, chunk=8)


@pytest.fixture
def model(trained):
    return load_model(trained, torch.device("cpu"))


def torchrun(*command: str) -> subprocess.CompletedProcess:
    """The command line in two processes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    module = [sys.executable, "-c", "import sys; from sde_diffusion.cli.main import main; sys.exit(main())"]
    return subprocess.run([*start, *module, *command], env=environment, capture_output=True, text=True, timeout=150)


@pytest.mark.slow
def test_two_processes_write_the_files_of_one(trained, tmp_path):
    """Five chunks, the last in part, of a stochastic sampler: the same bytes, picture and numbers."""
    wanted = [
        "sample",
        str(trained),
        "--sampler",
        "reverse_sde/euler_maruyama/6/power",
        "--count",
        "36",
        "--chunk",
        "8",
    ]
    done = torchrun(*wanted, "--device", "cpu", "--output", str(tmp_path / "two"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert main([*wanted, "--device", "cpu", "--output", str(tmp_path / "one")]) == 0
    one, two = tmp_path / "one", tmp_path / "two"
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in two.iterdir())
    for name in ("samples.safetensors", "samples.png"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    costs = [json.loads((folder / "samples.json").read_text())["evaluations"] for folder in (one, two)]
    assert costs == [7.0, 7.0]


def test_a_job_draws_the_samples_of_one_call(model, tmp_path):
    job, once = (
        generate_into(_made(tmp_path / "job"), JOB, model, ProcessGroup()),
        samples_of(model, JOB.sampler, 22, 5, chunk=8),
    )
    assert job is not None
    assert torch.equal(job.x, once.x)
    assert len(job.x.flatten(1).unique(dim=0)) == 22


def test_every_process_draws_its_own_share(model, tmp_path, monkeypatch):
    """Of three processes each draws every third chunk, and nothing else."""
    seen = {}
    monkeypatch.setattr(Job, "generate", lambda job, _model, number: seen[rank].append(number) or _blank(job, number))
    for rank in range(3):
        seen[rank] = []
        drawing_job._generate_share(tmp_path, Job(JOB.sampler, 60, 0, 8), model, ProcessGroup(rank, 3))
    assert seen == {0: [0, 3, 6], 1: [1, 4, 7], 2: [2, 5]}


def _blank(job, number):
    return torch.zeros(job.size(number), 1, 8, 8), 1


def test_an_interrupted_job_goes_on_with_the_chunks_that_are_there(model, tmp_path, monkeypatch):
    whole = generate_into(_made(tmp_path / "whole"), JOB, model, ProcessGroup())
    drawn, whole_chunk = [], Job.generate

    def once(job, its_model, number):
        if len(drawn) == 2:
            raise KeyboardInterrupt
        drawn.append(number)
        return whole_chunk(job, its_model, number)

    folder = _made(tmp_path / "again")
    with monkeypatch.context() as patch:
        patch.setattr(Job, "generate", once)
        with pytest.raises(KeyboardInterrupt):
            generate_into(folder, JOB, model, ProcessGroup())
    assert drawn == [0, 1]
    (place,) = folder.glob("chunks-*")
    (place / "000001.safetensors").write_bytes((place / "000001.safetensors").read_bytes()[:-100])
    with monkeypatch.context() as patch:
        patch.setattr(Job, "generate", lambda job, its, number: drawn.append(number) or whole_chunk(job, its, number))
        again = generate_into(folder, JOB, model, ProcessGroup())
    assert drawn == [0, 1, 1, 2], "the damaged chunk and the missing one are drawn, the whole one is not"
    assert whole is not None
    assert again is not None
    assert torch.equal(again.x, whole.x)
    assert again.evaluations == whole.evaluations == 20
    delete_chunks(folder)
    assert list(folder.iterdir()) == []


def test_chunks_of_other_weights_are_not_taken(model, tmp_path):
    """The same folder and job, a model that has learnt on: nothing of the first job is in the second."""
    folder = _made(tmp_path / "job")
    first = generate_into(folder, JOB, model, ProcessGroup())
    for parameter in model.denoiser.parameters():
        parameter.data += 0.01
    second = generate_into(folder, JOB, model, ProcessGroup())
    assert first is not None
    assert second is not None
    assert not (first.x == second.x).flatten(1).all(dim=1).any()
    assert len(list(folder.glob("chunks-*"))) == 1


def test_a_chunk_that_nobody_left_here_is_refused(model, tmp_path):
    """The second of two processes writes to a disk of its own."""
    folder = _made(tmp_path / "job")
    place = folder / "chunks-apart"
    place.mkdir()
    drawing_job._generate_share(place, JOB, model, ProcessGroup(0, 2))
    with pytest.raises(ValueError, match=r"1 of 3 chunks are not in .*a shared disk"):
        drawing_job._gathered(place, JOB, 0.0)


def test_the_last_chunk_of_a_smaller_job_is_drawn_again(model, tmp_path):
    """22 samples end with a chunk of 6; 24 need it whole."""
    folder = _made(tmp_path / "job")
    generate_into(folder, JOB, model, ProcessGroup())
    more = generate_into(folder, Job(JOB.sampler, 24, JOB.seed, JOB.chunk), model, ProcessGroup())
    assert more is not None
    assert len(more.x) == 24


def test_a_digest_sees_every_weight_and_every_name():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict(one.state_dict())
    assert weights_digest(one) == weights_digest(other)
    other.bias.data[1] = torch.nextafter(other.bias.data[1], torch.tensor(1e9))
    assert weights_digest(one) != weights_digest(other)
    assert weights_digest(torch.nn.Sequential(one)) != weights_digest(one)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
