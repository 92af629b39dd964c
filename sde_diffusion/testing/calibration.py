r"""Is the residual r = x_0 - D(x_t) what it should be, level by level? For a posterior mean, and for nothing else,

    E[r] = 0,   E[r . x_t] = 0,   E[r . D] = 0                    x_t and D do not predict the residual          (1)
    E|r|^2 = sigma^2/alpha E[div D]                               the expected squared error is the actual one     (2)

Each is a mean of independent numbers, one for each datum, tested in standard errors with the significance shared out
among levels and statistics (`solvers.testing.significance`). div D is estimated with one Rademacher probe a datum, which
leaves (2) unbiased. A finding names the level: that is where a trained network is wrong.

References:
    Efron, Tweedie's Formula and Selection Bias, 2011, https://doi.org/10.1198/jasa.2011.tm11181
    Hutchinson, A stochastic estimator of the trace of the influence matrix, 1989,
        https://doi.org/10.1080/03610918908812806
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sde_diffusion.testing.observed import LEVELS, Observed
from solvers.testing.report import Finding, verdict
from solvers.testing.significance import Mean, mean_of, quantile

STATISTICS = {
    "mean": "the answer is biased",
    "against x_t": "too much or too little of x_t is kept: the level it sees is not sigma/alpha, or it is trained too little",
    "against the answer": "the answer is too bold or too timid: a gain is wrong",
    "variance": "it misses more, or less, than its Jacobian says",
}
PROBES = 2**32
"""The first of the streams of probes; those of the noise are below."""

FIGURES = len(LEVELS) * len(STATISTICS)


def residuals(seen: Observed) -> Iterator[Finding]:
    """Equations (1) and (2) at every level: one finding for each statistic, which names the worst level."""
    table = {level: statistics(seen, level) for level in LEVELS}
    for name, cause in STATISTICS.items():
        worst = max(LEVELS, key=lambda level: table[level][name].share(FIGURES))
        found = table[worst][name]
        yield verdict(
            f"residual: {name}",
            abs(found.deviation),
            quantile(FIGURES, found.freedom),
            example=f"sigma/alpha = {worst * seen.scale:.3g}: {found.deviation:+.1f} standard errors",
            cause=cause,
            note=f"in standard errors; by sigma/alpha: {_by_level(seen, table, name)}; "
            f"a fault of {found.power(FIGURES):.2g} there is seen nine times out of ten",
            read="sde_diffusion/testing/calibration.py",
        )


def _by_level(seen: Observed, table: dict[float, dict[str, Mean]], name: str) -> str:
    return ", ".join(f"{level * seen.scale:.3g}: {table[level][name].deviation:+.1f}" for level in table)


def statistics(seen: Observed, level: float, seed: int = 1) -> dict[str, Mean]:
    """The means of one level, in units of the data (its square for the products)."""
    kernel = seen.kernel(level)
    x = seen.noisy(kernel, seed).detach().requires_grad_()
    d = seen.denoiser(x, kernel)
    probe = seen.normals(seed + PROBES).sign()
    (pulled,) = torch.autograd.grad((d * probe).sum(), x)
    rows = [value.detach().double().flatten(1) for value in (seen.x0 - d, x / float(kernel.alpha), d, pulled * probe)]
    r, y, d, trace = rows
    believed = float(kernel.sigma) ** 2 / float(kernel.alpha) * trace
    return {
        "mean": mean_of(r.mean(1)),
        "against x_t": mean_of((r * _centred(y)).mean(1)),
        "against the answer": mean_of((r * _centred(d)).mean(1)),
        "variance": mean_of((r.square() - believed).mean(1)),
    }


def _centred(rows: Tensor) -> Tensor:
    """Less the mean over the data: a constant would only repeat the first statistic."""
    return rows - rows.mean(0) if math.prod(rows.shape) else rows
