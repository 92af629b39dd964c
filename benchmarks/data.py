"""Data that do not fit into memory: what training on them takes, and how fast files are read.

    python -m benchmarks.data memory                        70,000 pictures of 256 x 256: about ten minutes on two cores
    python -m benchmarks.data memory --count 2000
    python -m benchmarks.data speed --workers 2             5,000 PNG files, two minutes
    python -m benchmarks.data speed --workers 2 --count 1000 --rounds 2 --steps 20

`memory`: the pictures are made by a decoder that has no files. The peak of a process that measures, digests and trains is set
beside that of the same run with 100 pictures.

`speed`: digits, enlarged to 64 x 64, are written as PNG into a temporary folder. Pictures per second through our reader and
through torchvision's `ImageFolder` with a `DataLoader` of the same workers, in turns, and without a network; then the share of
a training step that waits for data.
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
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion import DiffusionModel
from sde_diffusion.data import by_name, standardised
from sde_diffusion.data.base import DataSource, Rows
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.data.tables import table_of
from sde_diffusion.networks import UNet
from sde_diffusion.training import ComputeSettings
from sde_diffusion.training.batches import Batches

SIDE, BATCH = 256, 64
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "speed", "peak"))
    parser.add_argument("--count", type=int)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.what == "peak":
        print(peak(asked.count, asked.workers))
    elif asked.what == "memory":
        columns = ["pictures of 256 x 256", "peak, MB", "more than 100 take, MB", "seconds"]
        rows = memory(asked.count or 70_000, asked.workers)
        title = f"Peak of the memory of 10 steps of 8 pictures, {asked.workers} workers"
        save_table("data_memory", title, columns, rows, "data memory")
    else:
        columns = ["reader", "pictures/s", "times torchvision's", "of a step spent waiting"]
        rows = speed(asked.count or 5000, asked.workers, asked.rounds, asked.steps)
        title = f"PNG files, {asked.workers} workers, {os.cpu_count()} cores, median of {asked.rounds} rounds in turns"
        save_table("data_speed", title, columns, rows, "data speed")


if __name__ == "__main__":
    main()
