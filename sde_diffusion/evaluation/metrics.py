"""The metrics of an evaluation: distances between samples and held-out examples, each with its interval."""

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
"""Resamplings behind each interval."""

Measure = Callable[[Tensor, Tensor, int, int], dict[str, Estimate]]
"""(features of samples (k N, D), of held-out examples (N, D), number of sets k, seed) -> estimates by name, of sets of N."""


UNBIASED = frozenset({"KID", "energy"})
"""The metrics with mean 0 for equal distributions, so that a ratio to the real-data baseline says nothing."""


@dataclass(frozen=True)
class EvaluationMetric:
    """`measure` of the features (N, D) that `rows` makes of examples (N, *E); `learned`: the data's classifier makes them."""

    rows: Callable[[Tensor], Tensor]
    measure: Measure
    learned: bool = False


def distance(
    name: str, rows: Callable[[Tensor], Tensor], metric: Callable[[Tensor, Tensor], float], learned: bool = False
) -> EvaluationMetric:
    """A named distance with a positive bias for finite sets, estimated over sets of equal size."""

    def measure(x: Tensor, reference: Tensor, sets: int, seed: int) -> dict[str, Estimate]:
        return {name: estimate_distance(metric, x, reference, sets=sets, resamples=RESAMPLES, seed=seed)}

    return EvaluationMetric(rows, measure, learned)


def all_metrics(rows: Callable[[Tensor], Tensor], learned: bool = False) -> EvaluationMetric:
    """Frechet, sliced W2, KID, energy, precision, recall, density and coverage on one kind of features, computed once."""
    return EvaluationMetric(rows, _all_of_one_features, learned)


def _all_of_one_features(x: Tensor, reference: Tensor, sets: int, seed: int) -> dict[str, Estimate]:
    options = {"sets": sets, "resamples": RESAMPLES, "seed": seed}
    return {
        "Frechet": estimate_distance(frechet, x, reference, **options),
        "sliced W2": estimate_distance(sliced_wasserstein, x, reference, **options),
        "KID": estimate_kernel_distance(x, reference),
        "energy": estimate_energy_distance(x, reference),
        **estimate_manifold(x, reference, **options),
    }


def flat(x: Tensor) -> Tensor:
    """Examples (N, *E) as rows (N, D)."""
    return torch.flatten(x, 1)
