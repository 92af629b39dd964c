"""Averages after training: the error of a fit from snapshots, and what tracking and storing them costs.

    python -m benchmarks.averages

The first table is exact arithmetic: the residual of the fit for numbers of evenly spaced snapshots of the lengths 0.05
and 0.10, and beside it that of the paper's fit, whose shares need not add up to 1, with the sum that they have. The second
runs: one training step, the update of the two tracked averages, one snapshot on the disk, one average made of 16 of them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.output import save_table
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import TimeMLP, UNet
from sde_diffusion.networks.base import Backbone
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training.checkpoints.snapshots import Snapshot, save
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.ema.post_hoc import reconstruct
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.ema.profile import gamma_of
from sde_diffusion.training.ema.profile_fit import coefficients, overlap, residual

KEPT, LENGTHS, COUNTS = (0.05, 0.10), (0.02, 0.03, 0.075, 0.15, 0.20, 0.25), (8, 16, 32, 64, 128)
STEPS, SNAPSHOTS, BATCH = 10_000.0, 16, 64


def fitted(count: int, length: float) -> str:
    """The residual with shares that add up, the residual with free ones, and how far their sum is from 1."""
    times = np.repeat(np.arange(1, count + 1) * STEPS / count, len(KEPT))
    gammas, gamma = np.tile([gamma_of(one) for one in KEPT], count), gamma_of(length)
    ours = coefficients(list(times), list(gammas), STEPS, gamma)
    free = np.linalg.solve(overlap(gammas, times, gammas, times), overlap(gammas, times, [gamma], [STEPS])[:, 0])
    both = [residual(list(times), list(gammas), STEPS, gamma, shares) for shares in (ours, free)]
    return f"{both[0]:.2g} / {both[1]:.2g} / {free.sum() - 1:+.0e}"


def fastest(turn: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the fastest of some rounds, after one to warm up."""
    seen = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        turn()
        seen.append(time.perf_counter() - began)
    return 1e3 * min(seen[1:])


def costs(name: str, network: Backbone, event: tuple[int, ...], folder: Path) -> list[str]:
    """A row: parameters, and the costs of a step, of the updates, of a snapshot and of an average."""
    denoiser = Preconditioned(network, EDMPreconditioning())
    power, ema = PowerAverages.of(denoiser, KEPT), EMA(denoiser)
    optimizer, generator = torch.optim.Adam(denoiser.parameters(), fused=True), torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, *event, generator=generator)

    def step() -> None:
        DenoisingScoreMatching()(denoiser, VP(), x, generator).mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    trained, tracked, usual = fastest(step, 5), fastest(power.update, 10), fastest(ema.update, 10)
    numbers = iter(range(1, SNAPSHOTS + 1))

    def snap() -> None:
        averages = {length: one.state_dict() for length, one in power.averages.items()}
        save(folder / "snapshots", Snapshot(next(numbers), averages, [], {}))

    kept = fastest(snap, SNAPSHOTS - 1)
    size = sum(path.stat().st_size for path in (folder / "snapshots/step-000001").iterdir())
    made = fastest(lambda: reconstruct(folder, 0.08), 2)
    count = sum(p.numel() for p in denoiser.parameters())
    times = [trained, usual, tracked, kept, made]
    share = f"{100 * tracked / trained:.1f}%"
    return [name, f"{count:,}", f"{size / 1e6:.1f}", *(f"{one:.1f}" for one in times), share]


def main() -> None:
    torch.manual_seed(0)
    rows = [[str(count), *(fitted(count, length) for length in LENGTHS)] for count in COUNTS]
    title = "Residual of the fit with shares that add up / with free ones / their sum less 1"
    save_table("averages_fit", title, ["snapshots", *map(str, LENGTHS)], rows, module="averages")
    networks = [
        ("mlp, digits", TimeMLP(64), (64,)),
        ("unet tiny, 3x32x32", UNet(3, **UNet.presets["tiny"]), (3, 32, 32)),
    ]
    found = []
    for name, network, event in networks:
        with tempfile.TemporaryDirectory() as folder:
            found.append(costs(name, network, event, Path(folder)))
    heads = [
        "model",
        "parameters",
        "MB a snapshot",
        f"step of {BATCH}, ms",
        "decay average, ms",
        "two power averages, ms",
    ]
    heads += ["write a snapshot, ms", f"average from {SNAPSHOTS}, ms", "power averages a step"]
    save_table("averages_cost", "What two tracked averages cost", heads, found, module="averages")


if __name__ == "__main__":
    main()
