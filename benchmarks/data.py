"""Data that do not fit into memory: what training on them takes, and how fast files are read.

    python -m benchmarks.data memory                        70,000 pictures of 256 x 256: about ten minutes on two cores
    python -m benchmarks.data memory --count 2000
    python -m benchmarks.data speed --workers 2             5,000 PNG files, two minutes
    python -m benchmarks.data speed --workers 2 --count 1000 --rounds 2 --steps 20
    python -m benchmarks.data files --workers 2 --root FOLDER    70,000 PNG files, ten minutes
    python -m benchmarks.data files --workers 2 --root FOLDER --count 3000 --steps 20
    python -m benchmarks.data cost                          four minutes

`memory`: the pictures are made by a decoder that has no files. The peak of a process that measures, digests and trains is set
beside that of the same run with 100 pictures.

`speed`: digits, enlarged to 64 x 64, are written as PNG into a temporary folder. Pictures per second through our reader and
through torchvision's `ImageFolder` with a `DataLoader` of the same workers, in turns, and without a network; then the share of
a training step that waits for data.

`files`: the 70,000 pictures of Fashion-MNIST, whose idx files lie in FOLDER, are written as PNG files into a temporary folder,
and as one .npy of uint8. Of the command that trains on each: the seconds until its first step is done, everything that comes
before included (reading all for the mean, the deviation and the digest), and the seconds of an epoch by the steps after it.

`cost`: the data term of the cost model in docs/distributed.md, with a reader that waits for a fixed time, one process and two
over gloo.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion import DiffusionModel
from sde_diffusion.data import by_name, standardised
from sde_diffusion.data.base import DataSource, Rows
from sde_diffusion.data.idx import read_idx
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.data.tables import table_of
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.networks import TimeMLP, UNet
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import ComputeSettings, TrainSettings, join_process_group, train
from sde_diffusion.training.batches import Batches

SIDE, BATCH, FILES_BATCH = 256, 64, 64
COST_BATCH, COST = 32, 0.02
KINDS = {"images-idx3": (28, 28), "labels-idx1": ()}
SMALL = {"width": 8, "multipliers": (1, 1, 1, 1), "blocks": 1, "attention": ()}


@dataclass(frozen=True)
class Decoded(DataSource):
    """`count` pictures (3, 256, 256) that a decoder makes when they are asked for, each of a brightness of its own."""

    count: int
    levels = 256

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (3, SIDE, SIDE)

    def size(self, split: str = "train") -> int:
        return self.count

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        ramp = torch.arange(SIDE)
        picture = (ramp[:, None] ^ ramp).expand(3, SIDE, SIDE)
        return from_levels((picture + indices[:, None, None, None] * 7) % 256), None


def peak(count: int, workers: int) -> float:
    """MB at the peak of this process, and of the largest below it, after some steps on so many pictures."""
    source = Decoded(count)
    network = UNet.fitting(source.event_shape, **SMALL)
    model = DiffusionModel.for_data(source, network=network)
    model.fit(source, steps=10, batch_size=8, compute=ComputeSettings(workers=workers), device="cpu")
    return sum(resource.getrusage(whose).ru_maxrss for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e3


def memory(count: int, workers: int) -> list[list[str]]:
    """A row for 100 pictures and one for `count`."""
    rows, peaks = [], []
    for pictures in (100, count):
        command = [sys.executable, "-m", "benchmarks.data", "peak", "--count", str(pictures), "--workers", str(workers)]
        begun = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(json.loads(done.stdout.splitlines()[-1]))
        seconds = time.perf_counter() - begun
        rows.append([f"{pictures:,}", f"{peaks[-1]:.0f}", f"{peaks[-1] - peaks[0]:+.0f}", f"{seconds:.0f}"])
    return rows


def write_pictures(folder: Path, count: int) -> None:
    """`count` digits as PNG, 64 x 64, folder/CLASS/NUMBER.png."""
    from PIL import Image

    x, labels = by_name("digits").tensors("train")
    assert labels is not None
    for number in range(count):
        row = number % len(x)
        place = folder / str(int(labels[row]))
        place.mkdir(exist_ok=True)
        grey = ((x[row, 0] + 1) * 127.5).byte().numpy()
        Image.fromarray(grey).resize((64, 64), Image.Resampling.BICUBIC).convert("RGB").save(place / f"{number}.png")


def ours(folder: Path, workers: int) -> Iterator[Tensor]:
    """Batches as training reads them."""
    table = table_of(by_name("image_folder", root=str(folder)), labels=True)
    batches = Batches(table, 0.0, 0, BATCH, torch.device("cpu"), torch.float32, workers=workers)
    generator = torch.Generator()
    try:
        for step in range(10**9):
            yield batches.at(step, generator).x
    finally:
        batches.close()


def torchvisions(folder: Path, workers: int) -> Iterator[Tensor]:
    """Batches as most people read them, epoch after epoch by the same workers."""
    from torchvision import datasets, transforms

    change = transforms.Compose(
        [
            transforms.Resize(64),
            transforms.CenterCrop(64),
            transforms.ToTensor(),
            transforms.Normalize([0.5] * 3, [0.5] * 3),
        ]
    )
    files = datasets.ImageFolder(str(folder), change)
    more = {"num_workers": workers, "persistent_workers": workers > 0, "drop_last": True}
    loader = torch.utils.data.DataLoader(files, BATCH, shuffle=True, generator=torch.Generator(), **more)
    while True:
        for x, _ in loader:
            yield x


def pace(source: Iterator[Tensor], steps: int) -> float:
    """Pictures a second, once the first few batches have come."""
    for _ in range(4):
        next(source)
    begun = time.perf_counter()
    for _ in range(steps):
        next(source)
    seconds = time.perf_counter() - begun
    source.close()  # pyright: ignore[reportAttributeAccessIssue]
    return steps * BATCH / seconds


class Waited:
    """Measures the seconds that batches are waited for, for the length of a block."""

    def __enter__(self) -> Waited:
        self.seconds, self.usual, self.first = 0.0, Batches.at, True
        usual = self.usual

        def at(batches: Batches, step: int, generator: torch.Generator, part: int = 0):
            begun = time.perf_counter()
            found = usual(batches, step, generator, part)
            now = time.perf_counter()
            if step > 0:
                self.seconds += now - begun
            else:
                self.begun = now
            self.end = now
            return found

        Batches.at = at
        return self

    def __exit__(self, *_: object) -> None:
        Batches.at = self.usual

    @property
    def share(self) -> float:
        """Of the time from the first batch to the last."""
        return self.seconds / (self.end - self.begun)


def waiting(folder: Path, workers: int, steps: int) -> float:
    """The share of a training step that waits for data, with a small U-Net."""
    source = by_name("image_folder", root=str(folder))
    model = DiffusionModel.for_data(source, network=UNet.fitting(source.event_shape, **{**SMALL, "width": 16}))
    with Waited() as waited, mock.patch.object(standardised, "FEW", 0):
        model.fit(source, steps=steps, batch_size=BATCH, compute=ComputeSettings(workers=workers), device="cpu")
    return waited.share


def speed(count: int, workers: int, rounds: int, steps: int) -> list[list[str]]:
    """A row for each reader, and one for the waiting."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_pictures(folder, count)
        paces = [
            (pace(ours(folder, workers), steps), pace(torchvisions(folder, workers), steps)) for _ in range(rounds)
        ]
        share = waiting(folder, workers, steps)
    mine, theirs = (statistics.median(one) for one in zip(*paces, strict=True))
    ratio = statistics.median(one / other for one, other in paces)
    return [
        ["ours", f"{mine:.0f}", f"{ratio:.2f}", f"{100 * share:.1f}%"],
        ["torchvision + DataLoader", f"{theirs:.0f}", "1", "-"],
    ]


def write_fashion(root: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """The first pictures of both parts as folder/pictures/CLASS/NUMBER.png, and as folder/array.npy."""
    from PIL import Image

    parts = [
        [read_idx(root / f"{part}-{kind}-ubyte", shape) for part in ("train", "t10k")] for kind, shape in KINDS.items()
    ]
    pictures, labels = (torch.cat(part)[:count].numpy() for part in parts)
    for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
        place = folder / "pictures" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{number:05d}.png")
    np.save(folder / "array.npy", pictures)
    return folder / "pictures", folder / "array.npy"


def command(data: Path, folder: Path, workers: int, steps: int) -> tuple[float, float]:
    """Seconds from the start of the command to the end of its first step, and of a step after that."""
    words = [
        "train",
        "--data",
        str(data),
        "--output",
        str(folder),
        "--compute.workers",
        str(workers),
        "--compute.threads",
        "1",
    ]
    words += ["--training.steps", str(steps), "--training.batch_size", str(FILES_BATCH), "--training.log_every", "1"]
    words += [
        "--watch.held_out_every",
        "0",
        "--watch.levels_every",
        "0",
        "--watch.pictures_every",
        "0",
        "--device",
        "cpu",
    ]
    words += ["--network", "unet", "--network.width", "8", "--network.multipliers", "[1, 1]", "--network.blocks", "1"]
    words += ["--network.attention", "[]", "--network.classes", "null"]
    begun, first = time.perf_counter(), 0.0
    with subprocess.Popen(
        [sys.executable, "-m", "sde_diffusion", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as run:
        while run.poll() is None:
            if not first and (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").stat().st_size:
                first = time.perf_counter() - begun
            time.sleep(0.01)
        if run.returncode:
            raise RuntimeError(run.stderr.read().decode() if run.stderr else "")
    paces = [line["images_per_second"] for line in metrics_file.read(folder / "metrics.jsonl")[1:]]
    return first, FILES_BATCH / statistics.median(paces)


def files(root: Path, count: int, workers: int, steps: int) -> list[list[str]]:
    """A row for the files and one for the array."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        begun = time.perf_counter()
        made = write_fashion(root, Path(place), count)
        print(f"written in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        for data, readers in zip(made, (workers, 0), strict=True):
            first, step = command(data, Path(place, f"run-{data.stem}"), readers, steps)
            epoch = step * count * 0.9 / FILES_BATCH
            rows.append([data.name, str(readers), f"{first:.0f}", f"{1000 * step:.0f}", f"{epoch:.0f}"])
    return rows


@dataclass(frozen=True)
class Slow(DataSource):
    """Points that take `seconds` each to be read, as from a distant disk: the process waits and computes nothing."""

    seconds: float

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (64,)

    def size(self, split: str = "train") -> int:
        return 10_000

    def digest(self, split: str = "train") -> str:
        return "known"

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        time.sleep(self.seconds * len(indices) * (len(indices) < COST_BATCH + 1))  # not for the look at the scale
        return indices[:, None].float().add(torch.arange(64)).sin(), None


def step_of(workers: int, seconds: float) -> float:
    """Seconds a step, the median, of this process among those that torchrun started."""
    network = TimeMLP(64, width=512, depth=4)
    denoiser = Preconditioned(network, EDMPreconditioning(data_std=0.7))
    settings = TrainSettings(steps=30, batch_size=COST_BATCH, gradient_accumulation=2, log_every=1)
    times = []
    with join_process_group(torch.device("cpu")) as world:
        compute = ComputeSettings(workers=workers, threads=1)
        for _ in train(denoiser, VP(), Slow(seconds), settings, compute=compute, world=world, device="cpu"):
            times.append(time.perf_counter())
    return statistics.median(b - a for a, b in pairwise(times[5:]))


def cost() -> list[list[str]]:
    """A row for each number of processes and workers: the time of a step beside what the model of the cost says."""
    rows = []
    for world in (1, 2):
        alone = _step(world, 0, 0.0)
        for workers in (0, 1, 2):
            took, reading = _step(world, workers, COST), COST_BATCH * COST / world
            said = alone + reading if workers == 0 else max(alone, reading / workers)
            numbers = (alone, reading / max(1, workers), said, took)
            rows.append([str(world), str(workers), *(f"{1000 * one:.0f}" for one in numbers), f"{took / said:.2f}"])
    return rows


def _step(world: int, workers: int, seconds: float) -> float:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}", "-m"]
    words = ["benchmarks.data", "step", "--workers", str(workers), "--seconds", str(seconds)]
    done = subprocess.run([*start, *words], capture_output=True, text=True, check=True)
    return max(float(line) for line in done.stdout.split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "speed", "files", "cost", "peak", "step"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "peak":
        print(peak(asked.count, asked.workers))
    elif asked.what == "step":
        print(step_of(asked.workers, asked.seconds))
    elif asked.what == "cost":
        columns = [
            "processes",
            "workers each",
            "a step without reading, ms",
            "B c/(W k), ms",
            "the model, ms",
            "a step, ms",
            "ratio",
        ]
        title = f"Batches of {COST_BATCH} samples that take {1000 * COST:g} ms each to read, gloo on one machine"
        save_table("data_cost", title, columns, cost(), "data cost")
    elif asked.what == "memory":
        columns = ["pictures of 256 x 256", "peak, MB", "more than 100 take, MB", "seconds"]
        rows = memory(asked.count or 70_000, asked.workers)
        title = f"Peak of the memory of 10 steps of 8 pictures, {asked.workers} workers"
        save_table("data_memory", title, columns, rows, "data memory")
    elif asked.what == "files":
        columns = ["data", "workers", "to the first step, s", "a step, ms", "an epoch, s"]
        count = asked.count or 70_000
        title = (
            f"{count:,} pictures of 28 x 28 as PNG files and as one array, batches of {FILES_BATCH}, a U-Net of width 8"
        )
        save_table("data_files", title, columns, files(asked.root, count, asked.workers, asked.steps), "data files")
    else:
        columns = ["reader", "pictures/s", "times torchvision's", "of a step spent waiting"]
        rows = speed(asked.count or 5000, asked.workers, asked.rounds, asked.steps)
        title = f"PNG files, {asked.workers} workers, {os.cpu_count()} cores, median of {asked.rounds} rounds in turns"
        save_table("data_speed", title, columns, rows, "data speed")


if __name__ == "__main__":
    main()
