"""What we claim of a GPU, as numbers that the figures of the stages are compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MET, MISSED, UNKNOWN = "met", "missed", "not measured"


@dataclass(frozen=True)
class Goal:
    """A bound of one figure.

    Attributes:
        stage, figure: where the number is.
        said: what it is, for the page.
        bound: `at least`, `at most` or `below`.
        value: of the bound.
        shown: the number as text.
    """

    stage: str
    figure: str
    said: str
    bound: str
    value: float
    shown: Callable[[float], str]

    def verdict(self, figures: Mapping[str, Mapping[str, float]]) -> str:
        """Met, missed or not measured, from the figures of each stage."""
        found = self.found(figures)
        if found is None:
            return UNKNOWN
        return MET if HOLDS[self.bound](found, self.value) else MISSED

    def found(self, figures: Mapping[str, Mapping[str, float]]) -> float | None:
        """The number; None where there is none, or one that is not finite."""
        found = figures.get(self.stage, {}).get(self.figure)
        return found if found is not None and math.isfinite(found) else None


HOLDS: dict[str, Callable[[float, float], bool]] = {
    "at least": lambda found, value: found >= value,
    "at most": lambda found, value: found <= value,
    "below": lambda found, value: found < value,
}


def percent(value: float) -> str:
    """A share."""
    return f"{100 * value:.3g}%"


def times(value: float) -> str:
    """A ratio."""
    return f"{value:.3g} times"


def count(value: float) -> str:
    """A whole number."""
    return f"{value:.0f}"


UNETS = {"small": "U-Net `small`", "ddpm++": "U-Net `ddpm++`"}
NETWORKS = UNETS | {"DiT-B/2": "DiT-B/2"}

GOALS = (
    Goal("correctness", "tests failed", "tests that ask for a GPU and fail on it", "at most", 0, count),
    Goal("correctness", "noise differs", "kinds of noise with other bits than on the CPU", "at most", 0, count),
    Goal("correctness", "samplers differ", "samplers whose states differ from the CPU's beyond the tolerance", "at most", 0, count),
    Goal("correctness", "trainings differ", "trainings whose weights differ from the CPU's beyond the tolerance", "at most", 0, count),
    Goal("correctness", "resumed differs", "numbers of a killed and resumed training that differ", "at most", 0, count),
    *(
        Goal("training", f"{name}, rate", f"{said}: share of the bf16 matrix rate", "at least", least, percent)
        for (name, said), least in zip(NETWORKS.items(), (0.25, 0.25, 0.40), strict=True)
    ),
    *(Goal("training", f"{name}, ratio", f"{said}: images/s over those of diffusers' loop", "at least", 1.5, times) for name, said in UNETS.items()),
    *(Goal("training", f"{name}, outside", f"{said}: share of a step outside the network", "at most", 0.05, percent) for name, said in NETWORKS.items()),
    *(Goal("sampling", f"{name}, loop", f"{said}: the loop's share of sampling, in Python", "below", 0.02, percent) for name, said in UNETS.items()),
    *(Goal("sampling", f"{name}, graph", f"{said}: the loop's share of sampling, as one CUDA graph", "below", 0.02, percent) for name, said in UNETS.items()),
    *(Goal("sampling", f"{name}, noise", f"{said}: share of the default noise in Euler-Maruyama", "at most", 0.05, percent) for name, said in UNETS.items()),
)  # fmt: skip
