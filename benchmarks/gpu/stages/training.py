"""Training: images a second, the share of the card's matrix rate, memory, and what a step spends outside the network.

Our loop and, for U-Nets, diffusers' example loop around its UNet2DModel with the same blocks take turns of a few steps, in
bfloat16 (autocast), ours with channels last; first as PyTorch runs them, then under `torch.compile`. A network's work is three
times the counted operations of its forward pass. Ratios are of turns of one round, their median over the rounds. The share
outside the network is measured from within the step (benchmarks/stopwatch.py) in turns of its own, where nothing is compiled.
"""

from __future__ import annotations

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

OURS, THEIRS = "ours", "diffusers"
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
        steps = CONTESTANTS[name](work)
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
    rounds(runners, job, at_most=job.scaled(1, 12), seconds=job.scaled(1, 8))
    mine = runners[0]
    rate = record.found["figures"].get("bfloat16, FLOP/s", float("nan"))
    record.best(f"{name}, rate", mine.flops / (mine.work.batch * rate) * mine.rate)
    if len(runners) > 1:
        record.best(f"{name}, ratio", ratio(mine, runners[1]))
    for runner in runners:
        share = float("nan") if compiled else runner.outside()
        if runner is mine:
            record.figure(f"{name}, outside", share)
        beside = f"{ratio(runner, runners[1]):.2f}" if len(runners) > 1 else "-"
        record.row("Training in bfloat16, 3 x 32 x 32", COLUMNS, [*row(name, compiled, runner, rate, share), beside])


def contestants(work: Work, record: Record) -> list[Contestant]:
    """Our loop, and diffusers' where it has a network of this kind and is installed."""
    runners = [fitting(OURS, work)]
    if work.network is UNet:
        try:
            runners.append(fitting(THEIRS, replace(work, batch=runners[0].work.batch)))
        except Exception as error:
            record.note(f"diffusers' loop: {sentence(error)}")
    return runners


def fitting(name: str, work: Work) -> Contestant:
    """A contestant, with a smaller batch where the memory does not hold this one."""
    for _ in range(HALVINGS):
        with suppress(torch.OutOfMemoryError):
            return Contestant.started(name, work)
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


def row(name: str, compiled: bool, runner: Contestant, rate: float, outside: float) -> list[str]:
    """The table's line but its last cell."""
    work, each = runner.work, runner.flops / runner.work.batch
    return [
        name, "compiled" if compiled else "eager", runner.name, str(work.batch), f"{parameters(runner.network) / 1e6:.2f}",
        f"{each / 1e9:.3g}", f"{runner.rate:.4g}", f"{each * runner.rate / 1e12:.3g}", f"{100 * each * runner.rate / rate:.1f}%",
        "-" if compiled else f"{100 * outside:.1f}%", f"{runner.peak / 1e9:.2f}",
    ]  # fmt: skip


PARTS = (
    Part("the matrix rate", matrix_rate, limit=30),
    *(Part(f"{name}, eager", partial(throughput, name, False), needs=12, limit=60) for name in FULL),
    *(
        Part(f"{name}, compiled", partial(throughput, name, True), needs=25, limit=limit)
        for name, limit in (("DiT-B/2", 90), ("small", 110), ("ddpm++", 160))
    ),
)
