"""Time of our U-Net and of diffusers' UNet2DModel, by size: forward passes and training steps.

    python -m benchmarks.networks                          on the CPU, with two threads
    python -m benchmarks.networks --device cuda --batch 64 on an accelerator, in eager mode and compiled

Both have the same blocks: widths, attention, resampling inside residual blocks, shift and scale from the conditioning.
What is left of a difference in parameters and operations is printed beside the times, and the ratio is that of times an
operation. Both take turns in every round; a time is the fastest turn of all rounds, because other programs
only add time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.output import save_table
from sde_diffusion.networks import UNet, cost, twice_differentiable
from sde_diffusion.networks.diffusers_unet import DiffusersUNet

EVENT = (3, 32, 32)
SIZES = ["tiny", "small", "ddpm++"]


def theirs(options: Mapping[str, Any]) -> nn.Module:
    """UNet2DModel with the blocks of a U-Net of ours."""
    return DiffusersUNet.fitting(EVENT, **{name: value for name, value in options.items() if name != "vector"}).network


def operations(network: nn.Module, device: str) -> float:
    """For one sample, attention written out, because the counter does not know all fused kernels."""
    with torch.no_grad(), twice_differentiable(), FlopCounterMode(display=False) as counted:
        network(torch.zeros(1, *EVENT, device=device), torch.zeros(1, device=device))
    return float(counted.get_total_flops())


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def clocked(turn: Callable[[], object], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize()
    began = time.perf_counter()
    turn()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def fastest(turns: dict[str, Callable[[], object]], rounds: int, device: str) -> dict[str, float]:
    """Seconds of the fastest turn of each, all of them taking turns; the first two rounds are for warming up."""
    seen = [{name: clocked(turn, device) for name, turn in turns.items()} for _ in range(rounds + 2)][2:]
    return {name: min(round_[name] for round_ in seen) for name in turns}


def forward(network: Callable[..., object], x: Tensor, level: Tensor) -> Callable[[], object]:
    def turn() -> None:
        with torch.no_grad():
            network(x, level)

    return turn


def training(network: Callable[..., object], x: Tensor, level: Tensor) -> Callable[[], object]:
    def turn() -> None:
        answer = network(x, level)
        loss = answer if isinstance(answer, Tensor) else answer.sample  # pyright: ignore
        loss.square().mean().backward()

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "small"], choices=SIZES)
    asked = parser.parse_args()
    if asked.device == "cpu":
        torch.set_num_threads(2)
    rows = [row for size in asked.sizes for row in compared(size, asked)]
    heads = ["size", "what", "ours, ms", "diffusers, ms", "parameters, M", "operations, G", "ratio an operation"]
    save_table(f"networks-{asked.device}", f"U-Nets, batch {asked.batch}, {asked.device}", heads, rows, "networks")


def compared(size: str, asked: argparse.Namespace) -> list[list[str]]:
    """A row for each kind of work."""
    options = {**UNet.presets[size], "dropout": 0.0}
    ours, other = UNet.fitting(EVENT, **options).to(asked.device), theirs(options).to(asked.device)
    x = torch.randn(asked.batch, *EVENT, generator=torch.Generator().manual_seed(0)).to(asked.device)
    level = torch.zeros(asked.batch, device=asked.device)
    work = {"forward": (forward, ours, other), "training": (training, ours, other)}
    if asked.device != "cpu":
        both = torch.compile(ours), torch.compile(other)
        work |= {"forward, compiled": (forward, *both), "training, compiled": (training, *both)}  # pyright: ignore
    costs = cost(ours, EVENT).flops, operations(other, asked.device)
    weights = f"{parameters(ours) / 1e6:.2f} / {parameters(other) / 1e6:.2f}"
    rows = []
    for name, (kind, mine, their) in work.items():
        found = fastest({"ours": kind(mine, x, level), "theirs": kind(their, x, level)}, asked.rounds, asked.device)
        ratio = (found["ours"] / costs[0]) / (found["theirs"] / costs[1])
        seconds = [f"{1e3 * found[who]:.1f}" for who in ("ours", "theirs")]
        rows.append([size, name, *seconds, weights, f"{costs[0] / 1e9:.2f} / {costs[1] / 1e9:.2f}", f"{ratio:.2f}"])
    return rows


if __name__ == "__main__":
    main()
