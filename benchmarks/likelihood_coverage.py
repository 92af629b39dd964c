"""Does the 95% interval of log p hold the exact log-density? On mixtures that nobody has seen, by each way's defaults.

    python -m benchmarks.likelihood_coverage --seed 1

A seed draws the mixtures: one to eight modes of full covariances, spread and condition number over two decades, half of
them standardised. The exact value is the mixture's own log p(x). `python` is `log_likelihood(sde, denoiser, x)`, `model`
is `DiffusionModel.log_prob(x)` (float32, standardised coordinates), `command` the tolerance of `sde-diffusion likelihood`,
`loose` a tolerance of 0.1. `calls` are evaluations of the denoiser and products with its Jacobian for a point; `without`
is the coverage had the prior's mismatch been left in the value: what the same solve says of the flow from the process's
own prior.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion.cli.commands.likelihood import Settings
from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.likelihood import LogProb, log_likelihood
from sde_diffusion.model import DiffusionModel
from sde_diffusion.sde import EDM, VP, LinearSDE
from sde_diffusion.standardization import Standardization

SIZES = {2: (40, 20), 8: (40, 20), 64: (40, 20)}
"""Dimensions: how many mixtures, and points of each."""


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh_mixture(size: int, seed: int) -> Mixture:
    """One to eight modes of full covariances: weights, spread of the means, eigenvalues and mean are drawn."""
    g = rng(seed)
    modes = int(torch.randint(1, 9, (), generator=g))
    weights = torch.rand(modes, generator=g, dtype=torch.float64) + 0.2
    spread, narrowest = (
        10 ** (1.3 * torch.rand((), generator=g).item() - 0.8),
        10 ** (-2.5 * torch.rand((), generator=g).item()),
    )
    mean = 0.5 * torch.randn(size, generator=g, dtype=torch.float64)
    means = mean + spread * torch.randn(modes, size, generator=g, dtype=torch.float64)
    frames = torch.linalg.qr(torch.randn(modes, size, size, generator=g, dtype=torch.float64)).Q
    variances = narrowest ** torch.rand(modes, size, generator=g, dtype=torch.float64)
    covariances = (frames * variances[:, None]) @ frames.mT
    law = Mixture(weights / weights.sum(), means, covariances)
    if seed % 2:
        std = law.variance.mean().sqrt()
        law = Mixture(law.weights, (means - law.mean) / std, covariances / std**2)
    return law


def in_coordinates(law: Mixture) -> tuple[Mixture, Standardization]:
    """The law in a model's coordinates, of mean zero and variance one in each, and the map there."""
    shift, scale = law.mean, law.variance.sqrt()
    assert law.basis is not None
    covariances = (law.basis * law.spectrum[:, None]) @ law.basis.mT / (scale[:, None] * scale)
    return Mixture(law.weights, (law.centres - shift) / scale, covariances), Standardization(shift, scale)


def by_model(sde: LinearSDE, law: Mixture, x: Tensor) -> LogProb:
    inner, map_ = in_coordinates(law)
    return DiffusionModel(sde, ExactDenoiser(inner), tuple(x.shape[1:]), map_).log_prob(x)


def by_tolerance(**options: Any) -> Callable[[LinearSDE, Mixture, Tensor], LogProb]:
    return lambda sde, law, x: log_likelihood(sde, ExactDenoiser(law), x, **options)


WAYS = {
    "python": by_tolerance(),
    "model": by_model,
    "command": by_tolerance(tol=Settings("").tol),
    "loose": by_tolerance(tol=0.1),
}


@dataclass(frozen=True)
class Cell:
    """Of all points: whether the interval held, whether it would without the term, calls, errors and their standard errors."""

    held: Tensor
    without: Tensor
    calls: Tensor
    error: Tensor
    stated: Tensor


def measured(size: int, sde: LinearSDE, way: str, seed: int, laws: int, points: int) -> Cell:
    """`laws` mixtures of a seed, `points` of each."""
    rows = []
    for k in range(laws):
        law = fresh_mixture(size, 1000 * seed + k)
        x = law.sample(points, rng(1000 * seed + k))
        found, exact = WAYS[way](sde, law, x), law.log_prob(x)
        rows.append(
            (
                holds(found, exact),
                holds(found.without("prior"), exact),
                found.terms["calls"],
                found.value - exact,
                found.standard_error,
            )
        )
    return Cell(*(torch.cat(column) for column in zip(*rows, strict=True)))


def holds(found: LogProb, exact: Tensor) -> Tensor:
    low, high = found.interval()
    return ((low <= exact) & (exact <= high)).double()


def row(size: int, sde: LinearSDE, way: str, cell: Cell) -> list[str]:
    rms = cell.error.double().square().mean().sqrt().item()
    return [
        str(size), type(sde).__name__, way, str(len(cell.held)), f"{cell.held.mean():.3f}", f"{cell.without.mean():.3f}",
        f"{cell.calls.mean():.0f}", f"{cell.error.abs().median():.1e}", f"{rms:.1e}", f"{cell.stated.median():.1e}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    seed = parser.parse_args().seed
    torch.set_num_threads(1)
    rows = []
    for size, (laws, points) in SIZES.items():
        for sde in (VP(), EDM()):
            for way in WAYS:
                rows.append(row(size, sde, way, measured(size, sde, way, seed, laws, points)))
                print(*rows[-1], flush=True)
    columns = [
        "dimensions",
        "process",
        "by",
        "points",
        "coverage",
        "without",
        "calls",
        "median error, nats",
        "rms error",
        "median stated",
    ]
    save_table("likelihood_coverage", "95% intervals of log p on fresh mixtures", columns, rows, seed=seed)


if __name__ == "__main__":
    main()
