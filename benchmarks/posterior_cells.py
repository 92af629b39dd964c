"""What is observed in `benchmarks.posteriors`: exact laws, fresh observations by seed, and the exact posterior of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.exact import Mixture, ScalarPosterior, given_linear
from sde_diffusion.exact.problems import mixture64, ring8, two
from sde_diffusion.observations import LinearMeasurement, Matrix, Observation, OneBit, Square

NOISES = (0.05, 0.2, 1.0)


@dataclass(frozen=True)
class Cell:
    """An observation of a law, and its exact posterior: `sample(n, generator)`, `log_prob(x)`, and log p(y)."""

    law: Mixture
    kind: str
    noise: float
    observation: Observation
    posterior: Any
    log_evidence: float

    @property
    def name(self) -> str:
        return f"{self.kind} {self.noise:g}"

    @property
    def linear(self) -> bool:
        return isinstance(self.observation, LinearMeasurement)


def mixture8(seed: int = 0) -> Mixture:
    """Five unequal modes with full covariances in 8 dimensions: the recipe of mixture64."""
    generator = torch.Generator().manual_seed(seed)
    weights = 1 + 2 * torch.rand(5, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum()
    means = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    means = means - weights @ means
    decay = torch.arange(1, 9, dtype=torch.float64) ** -2.0
    frames = torch.linalg.qr(torch.randn(5, 8, 8, generator=generator, dtype=torch.float64)).Q
    covariances = (frames * (8 * decay / decay.sum())) @ frames.mT
    scale = Mixture(weights, means, covariances).variance.mean().rsqrt()
    return Mixture(weights, scale * means, scale**2 * covariances)


LAWS: dict[str, Callable[[], Mixture]] = {"two": two, "ring8": ring8, "mixture8": mixture8, "mixture64": mixture64}


def cells(name: str, seed: int) -> Iterator[Cell]:
    """Every kind of observation at every noise, of one draw of the law each; in 64 dimensions at the noise 0.2 alone."""
    law, generator = LAWS[name](), torch.Generator().manual_seed(1000 + seed)
    for noise in NOISES if law.centres.shape[1] < 64 else (0.2,):
        for kind in ("mask", "sum", "random", "one bit", "square"):
            x = law.sample(1, generator)
            if kind in ("one bit", "square"):
                yield _scalar(law, kind, noise, x, generator)
            elif kind != "sum" or law.centres.shape[1] > 2:
                rows = _rows(kind, law.centres.shape[1], generator)
                y = (x @ rows.mT)[0] + noise * torch.randn(len(rows), generator=generator, dtype=torch.float64)
                observation = Matrix(y, rows, noise)
                yield Cell(law, kind, noise, observation, *given_linear(law, observation))


def _rows(kind: str, d: int, generator: torch.Generator) -> Tensor:
    if kind == "mask":
        return torch.eye(d, dtype=torch.float64)[: d // 2]
    if kind == "sum":
        return torch.eye(d // 2, dtype=torch.float64).repeat_interleave(2, 1) / 2
    return torch.randn(max(1, d // 4), d, generator=generator, dtype=torch.float64) / d**0.5


def _scalar(law: Mixture, kind: str, noise: float, x: Tensor, generator: torch.Generator) -> Cell:
    direction = torch.randn(law.centres.shape[1], generator=generator, dtype=torch.float64)
    direction = direction / direction.norm()
    z, eps = (x[0] @ direction).item(), noise * torch.randn((), generator=generator, dtype=torch.float64).item()
    observation = (
        OneBit(1 if z + eps > 0 else -1, direction, noise)
        if kind == "one bit"
        else Square(z**2 + eps, direction, noise)
    )
    posterior = ScalarPosterior(law, observation)
    return Cell(law, kind, noise, observation, posterior, posterior.log_evidence())
