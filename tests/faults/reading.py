"""Runs that read files for each batch, alone or as one of several processes, and kill themselves in a step."""

from __future__ import annotations

import dataclasses
import io
import multiprocessing
import os
import shutil
import signal
import tarfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sde_diffusion.data.base import DataSource
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import EMA, ComputeSettings, ProcessGroup, join_process_group, train
from sde_diffusion.training.distributed.first_weights import deferred
from tests.training.conftest import Careless, Run

COUNT = 12
"""Pictures, of which the batches of `STEPS` steps see all, across the border of epochs."""


@dataclasses.dataclass(frozen=True)
class Flat(DataSource):
    """The pictures 1 x 1 x 2 of a source as points on the plane, with its classes."""

    inner: Any

    @property
    def classes(self):
        return self.inner.classes

    @property
    def event_shape(self):
        return (2,)

    def size(self, split="train"):
        return self.inner.size(split)

    def batch(self, indices, split="train"):
        x, labels = self.inner.batch(indices, split)
        return x.flatten(1), labels

    def digest(self, split="train"):
        return self.inner.digest(split)


class OneAfterAnother:
    """Picture files in the order of their names, an iterable that goes on from its state."""

    def __init__(self, folder: Path) -> None:
        self.files, self.at = sorted(folder.rglob("*.png"), key=lambda path: path.name), 0

    def __iter__(self):
        from PIL import Image

        for at in range(self.at, len(self.files)):
            self.at = at + 1
            x = np.asarray(Image.open(self.files[at]), dtype=np.float32).ravel() / 127.5 - 1
            yield {"x": x, "label": int(self.files[at].parent.name[-1])}

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


class Killer:
    """The usual objective; at the `call`th time, counted from 0, the process kills itself."""

    fingerprint = DenoisingScoreMatching

    def __init__(self, call: int | None) -> None:
        self.call, self.calls = call, 0

    def __call__(self, *arguments, **condition):
        losses = DenoisingScoreMatching()(*arguments, **condition)
        if self.calls == self.call:
            os.kill(os.getpid(), signal.SIGKILL)
        self.calls += 1
        return losses


@dataclasses.dataclass(frozen=True)
class Job:
    """What a run reads and how; `source` makes the data of a folder of files; `deferred`: of several, none begins whole."""

    source: Callable[[Path], Any]
    files: Path
    workers: int
    engine: str = "replicated"
    checkpoints: str = "whole"
    deferred: bool = False


def write_pictures(folder: Path) -> Path:
    """`COUNT` PNG files of two pixels in three classes."""
    from PIL import Image

    values = np.random.default_rng(5).integers(0, 256, size=(COUNT, 1, 2), dtype=np.uint8)
    for number, value in enumerate(values):
        place = folder / f"class-{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(value).save(place / f"{number:02d}.png")
    return folder


def write_shards(folder: Path) -> Path:
    """The same pictures in two tar shards."""
    pictures = sorted(write_pictures(folder / "unpacked").rglob("*.png"), key=lambda path: path.name)
    for number in range(2):
        with tarfile.open(folder / f"part-{number}.tar", "w") as archive:
            for path in pictures[number::2]:
                archive.add(path, path.name)
                label = path.parent.name.encode()
                about = tarfile.TarInfo(path.with_suffix(".cls").name)
                about.size = len(label)
                archive.addfile(about, io.BytesIO(label))
    shutil.rmtree(folder / "unpacked")
    return folder


def write_array_shards(folder: Path) -> Path:
    """`COUNT` points on the plane in three classes, in three tar shards."""
    folder.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(5).normal(size=(COUNT, 2))
    for shard in range(3):
        with tarfile.open(folder / f"part-{shard}.tar", "w") as archive:
            for row in range(shard, COUNT, 3):
                array = io.BytesIO()
                np.save(array, values[row])
                for name, data in ((f"{row}.npy", array.getvalue()), (f"{row}.cls", str(row % 3).encode())):
                    about = tarfile.TarInfo(name)
                    about.size = len(data)
                    archive.addfile(about, io.BytesIO(data))
    return folder


def trained(job: Job, folder: Path, world: ProcessGroup, call: int | None = None) -> None:
    """The run of the training tests in two parts a step, each step saved; killed at a call of its objective."""
    whole = Run(folder, checkpoint_every=1, log_every=1, gradient_accumulation=2)
    data, compute = (
        job.source(job.files),
        ComputeSettings(engine=job.engine, workers=job.workers, checkpoints=job.checkpoints),
    )
    denoiser, ema = whole.denoiser, whole.ema
    if job.deferred and world.size > 1:
        denoiser = Preconditioned(deferred(7, Careless), EDMPreconditioning())
        ema = EMA(denoiser, whole.settings.ema_decay)
    more = {"labels": True, "objective": Killer(call), "folder": folder, "compute": compute, "world": world}
    for _ in train(denoiser, VP(), data, whole.settings, ema=ema, device="cpu", **more):
        pass


def body(voice, job: Job, folder: Path, size: int, rank: int, port: int, call: int | None) -> None:
    """One of `size` processes of the run."""
    multiprocessing.set_start_method("fork", force=True)  # workers begin in milliseconds
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(size)}
    with join_process_group(torch.device("cpu"), 30.0) if size > 1 else nullcontext(ProcessGroup()) as world:
        trained(job, folder, world, call)
