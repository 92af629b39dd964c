"""Training a U-Net: images a second, the share of the machine that is used, what a step spends outside the network, memory.

    python -m benchmarks.training                                                    on the CPU, about 6 minutes
    python -m benchmarks.training --device cuda --batch 256 --precision bfloat16 --size ddpm++ --block 20
    python -m benchmarks.training --device cuda ... --compile

Our loop, diffusers' example loop around its UNet2DModel with the same blocks, and denoising-diffusion-pytorch's Trainer
around its own U-Net take turns of `--block` steps; ratios are of turns of one round, their median over the rounds. What
is left of a difference in operations is divided out. Memory is that of processes of their own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
from torch import nn
from tqdm import tqdm

from benchmarks.networks import operations, parameters
from benchmarks.output import RESULTS, save_table
from benchmarks.stopwatch import Stopwatch
from benchmarks.training_contestants import CONTESTANTS, Job
from sde_diffusion.networks import UNet
from sde_diffusion.report.plots.style import (
    colour,
    figure,
    marker,
    save,
)

SIZES = {"9M": {**UNet.presets["small"], "width": 72, "dropout": 0.0}}
SIZES |= {name: {**UNet.presets[name], "dropout": 0.0} for name in ("small", "base", "ddpm++")}


@dataclass
class Runner:
    """A contestant under way: its network, its steps, its stopwatch."""

    name: str
    network: nn.Module
    steps: Iterator[nn.Module]
    watch: Stopwatch
    flops: float

    @classmethod
    def started(cls, name: str, job: Job) -> Runner:
        steps = CONTESTANTS[name](job)
        network, watch = next(steps), Stopwatch(job.device)
        flops = 3 * job.batch * operations(network, "cpu")
        if not job.compile:
            watch.watch(network)
        return cls(name, network, steps, watch, flops)

    def turn(self, device: torch.device) -> float:
        """Seconds of a block of steps."""
        _wait(device)
        began = time.perf_counter()
        next(self.steps)
        _wait(device)
        return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def matrix_rate(device: torch.device, precision: str) -> float:
    """FLOP/s of the fastest of some products of large square matrices."""
    size = 2048 if device.type == "cpu" else 8192
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    found = []
    for _ in range(12):
        _wait(device)
        began = time.perf_counter()
        a @ b
        _wait(device)
        found.append(time.perf_counter() - began)
    return 2 * size**3 / min(found[2:])


def peak_of(name: str) -> float:
    """Gigabytes that a process of its own needs at most for building and some steps, beyond its imports."""
    command = [sys.executable, "-m", "benchmarks.training", *sys.argv[1:], "--peak", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def print_peak(name: str, job: Job) -> None:
    """For `peak_of`."""
    before = _resident_peak()
    steps = CONTESTANTS[name](replace(job, block=1))
    for _ in range(4):
        next(steps)
    if job.device.type == "cuda":
        print(torch.cuda.max_memory_allocated() / 1e9)
    else:
        print((_resident_peak() - before) / 1e9)


def _resident_peak() -> float:
    """Bytes, of this program alone: getrusage would count its parent's memory too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * float(line.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--size", default="9M", choices=list(SIZES))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--block", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--peak", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    device = torch.device(asked.device)
    job = Job(SIZES[asked.size], asked.batch, device, asked.precision, asked.compile, asked.block)
    if asked.peak:
        return print_peak(asked.peak, job)
    rate = matrix_rate(device, asked.precision)
    runners = [Runner.started(name, job) for name in asked.only]
    turns = taken(runners, asked.rounds, device)
    other = next((runner for runner in runners if runner.name == "diffusers"), runners[0])
    rows = [row(runner, turns, job, rate, other) for runner in runners]
    name = "training" + (
        "" if asked.device == "cpu" else f"-{asked.size}-{asked.precision}" + "-compiled" * asked.compile
    )
    columns = ["who", "parameters, M", "GFLOP an image", "images/s", "TFLOP/s", "of the matrix rate",
               "outside the network", "peak GB", f"time, of {other.name}", "an operation"]  # fmt: skip
    title = f"Training a U-Net, {asked.size}, batch {asked.batch}, {asked.precision}, {asked.device}"
    facts = {"turns": turns, "matrix_tflops": rate / 1e12, "arguments": sys.argv[1:]}
    save_table(name, title, columns, rows, "training", **facts)
    plot(turns, runners, job.block, title, RESULTS / f"{name}.png")


def taken(runners: list[Runner], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """The seconds of each turn; a round for warming up is left out, and who goes first changes."""
    turns: dict[str, list[float]] = {runner.name: [] for runner in runners}
    for number in tqdm(range(rounds + 1), "rounds"):
        order = runners if number % 2 else runners[::-1]
        for runner in order:
            turns[runner.name].append(runner.turn(device))
    return {name: seconds[1:] for name, seconds in turns.items()}


def row(runner: Runner, turns: dict[str, list[float]], job: Job, rate: float, other: Runner) -> list[str]:
    """The runner's line; its ratios are to `other`."""
    seconds = median(turns[runner.name]) / job.block
    outside = "-" if job.compile else f"{100 * share_outside(runner, turns[runner.name], job.block):.2f}%"
    ratio = median(mine / its for mine, its in zip(turns[runner.name], turns[other.name], strict=True))
    return [
        runner.name, f"{parameters(runner.network) / 1e6:.2f}", f"{runner.flops / job.batch / 1e9:.2f}", f"{job.batch / seconds:.1f}",
        f"{runner.flops / seconds / 1e12:.3f}", f"{100 * runner.flops / seconds / rate:.0f}%", outside, f"{peak_of(runner.name):.2f}",
        f"{ratio:.2f}", f"{ratio * other.flops / runner.flops:.2f}",
    ]  # fmt: skip


def share_outside(runner: Runner, turns: list[float], block: int) -> float:
    """The median share of a turn that is not the network's."""
    inside = runner.watch.inside()[block:]
    sums = [sum(inside[block * turn : block * (turn + 1)]) for turn in range(len(turns))]
    return median(1 - network / whole for network, whole in zip(sums, turns, strict=True))


def plot(turns: dict[str, list[float]], runners: list[Runner], block: int, title: str, path: Path) -> None:
    """The rate of operations of each turn: it shows what the machine did meanwhile beside how the contestants differ."""
    with figure(7, 4) as drawing:
        axis = drawing.subplots()
        for number, runner in enumerate(runners):
            per_turn = [block * runner.flops / seconds / 1e12 for seconds in turns[runner.name]]
            axis.plot(
                range(1, len(per_turn) + 1), per_turn, marker(number) + "-", color=colour(number), label=runner.name
            )
        axis.set(xlabel="round", ylabel="TFLOP/s", title=title, ylim=(0, None))
        axis.legend()
        save(drawing, path)


if __name__ == "__main__":
    main()
