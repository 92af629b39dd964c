"""Training: images a second, the share of the card's matrix rate, memory, and what a step spends outside the network.

Our loop and, for U-Nets, diffusers' example loop around its UNet2DModel with the same blocks take turns of a few steps, in
bfloat16 (autocast), ours with channels last; first as PyTorch runs them, then under `torch.compile`. A goal counts the best of ours.
A network's work is three times the counted operations of its forward pass. Ratios are of turns of one round, their median over the rounds. The share
outside the network is measured from within the step (benchmarks/stopwatch.py) in turns of its own, where nothing is compiled.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

import torch
from torch import nn

from benchmarks.gpu.card import clocks
from benchmarks.gpu.record import Record, sentence
from benchmarks.gpu.stage import Job, Part
from benchmarks.networks import clocked, operations, parameters
from benchmarks.stopwatch import Stopwatch
from benchmarks.training_contestants import CONTESTANTS
from benchmarks.training_contestants import Job as Work
from sde_diffusion.networks import DiT, UNet

OURS, FIRST, THEIRS = "ours", "ours, channels first", "diffusers"
TINY_UNET = {"width": 8, "multipliers": (1, 1), "blocks": 1, "attention": ()}
FULL: dict[str, Work] = {
    "small": Work({**UNet.presets["small"], "dropout": 0.0}, 512, torch.device("cpu"), "bfloat16", False, 10),
    "ddpm++": Work({**UNet.presets["ddpm++"], "dropout": 0.0}, 256, torch.device("cpu"), "bfloat16", False, 5),
    "DiT-B/2": Work(dict(DiT.presets["b-2"]), 256, torch.device("cpu"), "bfloat16", False, 5, DiT),
}
TINY: dict[str, Work] = {
    "small": Work(TINY_UNET, 2, torch.device("cpu"), "bfloat16", False, 1),
    "ddpm++": Work({**TINY_UNET, "blocks": 2}, 2, torch.device("cpu"), "bfloat16", False, 1),
    "DiT-B/2": Work(
        {"width": 32, "depth": 2, "heads": 2, "patch": 4}, 2, torch.device("cpu"), "bfloat16", False, 1, DiT
    ),
}
HALVINGS = 3
"""How often the batch is halved where the memory is too small."""
COLUMNS = ["network", "how", "who", "batch", "parameters, M", "GFLOP an image", "images/s", "TFLOP/s", "of the matrix rate",
           "outside the network", "peak GB", "images/s, of diffusers'"]  # fmt: skip


def matrix_rate(job: Job, record: Record) -> None:
    """FLOP/s of products of 8192 x 8192, in bfloat16 and in float32 with and without TF32; the clock rates meanwhile."""
    size = job.scaled(64, 8192)
    for name, dtype, tf32 in (
        ("bfloat16", torch.bfloat16, False),
        ("tf32", torch.float32, True),
        ("float32", torch.float32, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(size, size, device=job.device).to(dtype) for _ in range(2))
        times = [clocked(partial(torch.mm, a, b), job.device.type) for _ in range(12)]
        rate = 2 * size**3 / min(times[2:])
        record.figure(f"{name}, FLOP/s", rate)
        record.row("Matrix products", ["format", "TFLOP/s"], [name, f"{rate / 1e12:.3g}"])
        if dtype == torch.bfloat16 and job.gpu:
            record.row("Under that load", *map(list, zip(*under_load(job, a, b).items(), strict=True)))
    torch.backends.cuda.matmul.allow_tf32 = False


def under_load(job: Job, a: torch.Tensor, b: torch.Tensor) -> dict[str, str]:
    """What nvidia-smi says while products of about a second are under way."""
    for _ in range(500):
        torch.mm(a, b)
    found = clocks(job.device) or {"clock rates": "unknown: nvidia-smi does not answer"}
    torch.cuda.synchronize()
    return found


@dataclass
class Contestant:
    """A training loop under way: its network, its steps a block at a time, the operations of a step, its peak in bytes."""

    name: str
    work: Work
    network: nn.Module
    steps: Iterator[nn.Module]
    flops: float
    peak: float
    turns: list[float] = field(default_factory=list)

    @classmethod
    def started(cls, name: str, work: Work) -> Contestant:
        """With two blocks done, in which what is compiled is compiled. Raises torch.OutOfMemoryError."""
        held = memory(work.device)
        steps = CONTESTANTS[name.split(",")[0]](work)
        network = next(steps)
        flops = 3 * work.batch * operations(network, "cpu")
        for _ in range(2):
            next(steps)
        return cls(name, work, network, steps, flops, memory(work.device, peak=True) - held)

    def turn(self) -> float:
        """Seconds of a block."""
        return clocked(partial(next, self.steps), self.work.device.type)

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.work.block * self.work.batch / median(self.turns)

    @property
    def operations_a_second(self) -> float:
        """FLOP/s."""
        return self.flops / self.work.batch * self.rate

    def outside(self) -> float:
        """The share of a block that is not the network's, by marks within it."""
        watch = Stopwatch(self.work.device)
        watch.watch(self.network)
        self.turn()
        before = len(watch.steps)
        seconds = self.turn()
        return 1 - sum(watch.inside()[before:]) / seconds


def memory(device: torch.device, peak: bool = False) -> float:
    """Bytes of a GPU in use, from where the peak is counted; or that peak. None are counted on a CPU."""
    if device.type != "cuda":
        return 0.0
    if peak:
        return torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated()


def throughput(name: str, compiled: bool, job: Job, record: Record) -> None:
    """A row for each loop around one network."""
    work = replace(job.scaled(TINY, FULL)[name], device=job.device, compile=compiled)
    if compiled and job.quick:
        record.note(f"{name}, compiled: left out of a quick run.")
        return
    runners = contestants(work, record)
    rounds(list(runners.values()), job, at_most=job.scaled(1, 8), seconds=job.scaled(1, 8))
    rate = record.found["figures"].get("bfloat16, FLOP/s", math.nan)
    other = runners.get(THEIRS)
    for who, runner in runners.items():
        share, beside = math.nan if compiled else runner.outside(), ratio(runner, other) if other else math.nan
        if who != THEIRS:
            record.best(f"{name}, rate", runner.operations_a_second / rate)
            record.best(f"{name}, ratio", beside)
        if who == OURS:
            record.figure(f"{name}, outside", share)
        record.row("Training in bfloat16, 3 x 32 x 32", COLUMNS, row(name, runner, rate, share, beside))


def contestants(work: Work, record: Record) -> dict[str, Contestant]:
    """Our loop; for U-Nets as PyTorch runs them also with channels first, and diffusers' loop where it is installed."""
    found = {OURS: fitting(OURS, work)}
    if work.network is not UNet:
        return found
    work = replace(work, batch=found[OURS].work.batch)
    others = {THEIRS: work} if work.compile else {FIRST: replace(work, channels_last=False), THEIRS: work}
    for who, given in others.items():
        try:
            found[who] = fitting(who, given)
        except Exception as error:
            record.note(f"{who}: {sentence(error)}")
    return found


def fitting(name: str, work: Work) -> Contestant:
    """A contestant, with a smaller batch where the memory does not hold this one."""
    for _ in range(HALVINGS):
        with suppress(torch.OutOfMemoryError):
            return Contestant.started(name, work)
        gc.collect()
        torch.cuda.empty_cache()
        work = replace(work, batch=work.batch // 2)
    return Contestant.started(name, work)


def rounds(runners: list[Contestant], job: Job, at_most: int, seconds: float) -> None:
    """Turns, who goes first changing: until so many rounds or seconds are over, at least one round."""
    began = time.perf_counter()
    for number in range(at_most):
        for runner in runners[:: 1 - 2 * (number % 2)]:
            runner.turns.append(runner.turn())
        if time.perf_counter() - began > min(seconds, job.left() - 2):
            return


def ratio(one: Contestant, other: Contestant) -> float:
    """Images a second of one over the other's: the median over the rounds."""
    scale = one.work.batch / other.work.batch
    return scale * median(its / mine for mine, its in zip(one.turns, other.turns, strict=True))


def row(name: str, runner: Contestant, rate: float, outside: float, beside: float) -> list[str]:
    """The table's line."""
    work, speed = runner.work, runner.operations_a_second
    return [
        name, "compiled" if work.compile else "eager", runner.name, str(work.batch), f"{parameters(runner.network) / 1e6:.2f}",
        f"{runner.flops / work.batch / 1e9:.3g}", f"{runner.rate:.4g}", f"{speed / 1e12:.3g}", shown(speed / rate), shown(outside),
        f"{runner.peak / 1e9:.2f}", "-" if math.isnan(beside) else f"{beside:.2f}",
    ]  # fmt: skip


def shown(share: float) -> str:
    """In percent; a dash where it was not measured."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}%"


PARTS = (
    Part("the matrix rate", matrix_rate, limit=30),
    *(Part(f"{name}, eager", partial(throughput, name, False), needs=12, limit=60) for name in FULL),
    *(
        Part(f"{name}, compiled", partial(throughput, name, True), needs=needs, limit=limit)
        for name, needs, limit in (("DiT-B/2", 25, 90), ("small", 35, 110), ("ddpm++", 60, 160))
    ),
)
