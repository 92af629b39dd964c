"""What is measured of samples and held-out events: distances and shares of their features, each with its interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.metrics import (
    Estimate,
    estimate_distance,
    estimate_energy_distance,
    estimate_kernel_distance,
    estimate_manifold,
    frechet,
    sliced_wasserstein,
)

RESAMPLES = 40

Measure = Callable[[Tensor, Tensor, int, int], dict[str, Estimate]]
"""(samples' rows (k N, D), held-out rows (N, D), number of sets k, seed) -> estimates by name, for sets of N samples."""


UNBIASED = frozenset({"KID", "energy"})
"""What has mean 0 for equal laws, so that a ratio to the floor says nothing."""


@dataclass(frozen=True)
class EvaluationMetric:
    """`measure` of the rows (N, D) that `rows` makes of events (N, *E); `learned` says that a classifier makes them."""

    rows: Callable[[Tensor], Tensor]
    measure: Measure
    learned: bool = False


def distance(
    name: str, rows: Callable[[Tensor], Tensor], metric: Callable[[Tensor, Tensor], float], learned: bool = False
) -> EvaluationMetric:
    """A distance that is too large for finite sets, under a name."""

    def measure(x: Tensor, truth: Tensor, sets: int, seed: int) -> dict[str, Estimate]:
        return {name: estimate_distance(metric, x, truth, sets=sets, resamples=RESAMPLES, seed=seed)}

    return EvaluationMetric(rows, measure, learned)


def all_metrics(rows: Callable[[Tensor], Tensor], learned: bool = False) -> EvaluationMetric:
    """All that is known to measure of one kind of features, which are computed once."""
    return EvaluationMetric(rows, _everything, learned)


def _everything(x: Tensor, truth: Tensor, sets: int, seed: int) -> dict[str, Estimate]:
    drawn = {"sets": sets, "resamples": RESAMPLES, "seed": seed}
    return {
        "Frechet": estimate_distance(frechet, x, truth, **drawn),
        "sliced W2": estimate_distance(sliced_wasserstein, x, truth, **drawn),
        "KID": estimate_kernel_distance(x, truth),
        "energy": estimate_energy_distance(x, truth),
        **estimate_manifold(x, truth, **drawn),
    }


def flat(x: Tensor) -> Tensor:
    """Events as they are, (N, D)."""
    return torch.flatten(x, 1)
