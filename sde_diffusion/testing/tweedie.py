r"""Tweedie's formula for a denoiser: with y = x/alpha, v = (sigma/alpha)^2 and s = (D - y)/v,

    s = grad log p_v(y)                                                                                            (1)
    D(x; alpha, sigma) = D(y; 1, sigma/alpha)             it depends on the channel alone                          (2)
    dD/dy is symmetric                                    s is a gradient                                          (3)
    ds/dv = grad(div s + |s|^2)/2                         the score of the heat equation's solution                (4)

(2) to (4) need no data. A network obeys (3) and (4) as far as it is trained: without a law they are reported.

References:
    Efron, Tweedie's Formula and Selection Bias, 2011, https://doi.org/10.1198/jasa.2011.tm11181
    Lai et al., FP-Diffusion: Improving Score-based Diffusion Models by Enforcing the Underlying Score Fokker-Planck
        Equation, 2023, https://arxiv.org/abs/2210.04296
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.exact.law import Law
from sde_diffusion.kernel import Kernel
from sde_diffusion.testing.observed import LEVELS, Observed
from sde_diffusion.testing.thresholds import FAR, clipped, rescaled
from solvers.testing.diagnosis import Candidate, likely
from solvers.testing.report import Finding, reported, verdict
from solvers.testing.untouched import untouched, written

ROWS = 6
LARGEST = 16
"""Numbers in a sample up to which Jacobians are formed."""

Correction = Callable[[Tensor, Tensor, Kernel], Tensor]
VIEWS: tuple[tuple[str, Correction], ...] = (
    (
        "it returns the noise, not the data: decode with (x - sigma noise)/alpha",
        lambda d, x, k: k.data_from_noise(x, d),
    ),
    (
        "it returns the score, not the data: decode with (x + sigma^2 score)/alpha",
        lambda d, x, k: k.data_from_score(x, d),
    ),
    ("it returns v, not the data", lambda d, x, k: k.data_from_velocity(x, d)),
    ("it returns the flow's velocity, not the data", lambda d, x, k: k.data_from_flow(x, d)),
    ("it does not divide by alpha", lambda d, x, k: d / k.alpha),
    ("it divides by alpha once too often", lambda d, x, k: d * k.alpha),
    ("Tweedie's formula with sigma where sigma^2 belongs", lambda d, x, k: (x + k.sigma * (d * k.alpha - x)) / k.alpha),
    ("Tweedie's formula with sigma^2 where sigma belongs", lambda d, x, k: (x + (d * k.alpha - x) / k.sigma) / k.alpha),
    ("the score has the wrong sign", lambda d, x, k: (2 * x - d * k.alpha) / k.alpha),
)


def shapes(seen: Observed) -> Iterator[Finding]:
    """The output has the shape and the dtype of x."""
    x = seen.noisy(seen.kernel(1.0))[:ROWS]
    d = seen.answer(x, seen.kernel(1.0))
    wrong = d.shape != x.shape or d.dtype != x.dtype or not bool(torch.isfinite(d).all())
    example = f"x {tuple(x.shape)} {x.dtype}, answer {tuple(d.shape)} {d.dtype}"
    yield verdict("shape and dtype", float(wrong), 0.0, example=example, read="sde_diffusion/denoisers/base.py")
    changed = written(lambda: seen.answer(x, seen.kernel(1.0)), x)
    yield untouched("inputs are left alone", {"the denoiser writes into the state x_t that it is given": changed})


def same_answer(seen: Observed) -> Iterator[Finding]:
    """The same input twice."""
    kernel = seen.kernel(0.6)
    x = seen.noisy(kernel)[:ROWS]
    error = _gap(seen.answer(x, kernel), seen.answer(x, kernel))
    cause = "dropout is left on, or a probe is drawn inside: an ODE needs one field for the whole solve"
    yield verdict("the same question has the same answer", error, 0.0, example="one batch asked twice", cause=cause)


def batch(seen: Observed) -> Iterator[Finding]:
    """A sample alone, and one level for each sample, say what the batch says."""
    kernels = [seen.kernel(level) for level in LEVELS]
    x = torch.stack([seen.noisy(k)[i] for i, k in enumerate(kernels)])
    levels = Kernel(
        *(torch.tensor([float(v) for v in c], dtype=torch.float64) for c in zip(*map(_pair, kernels), strict=True))
    )
    each, same = seen.answer(x, levels), seen.answer(x, kernels[2])
    rows = range(len(kernels))
    mixed = [_gap(seen.answer(x[i : i + 1], kernels[2]), same[i : i + 1]) for i in rows]
    spread = [_gap(seen.answer(x[i : i + 1], kernels[i]), each[i : i + 1]) for i in rows]
    errors, cause, words = (
        (mixed, MIXES, "one level") if max(mixed) > seen.rounding else (spread, SPREADS, "other levels beside it")
    )
    example = f"sample {errors.index(max(errors))} alone and in the batch, {words}"
    yield verdict("the answer does not depend on the batch", max(errors), seen.rounding, example=example, cause=cause)


def _pair(kernel: Kernel) -> tuple:
    return kernel.alpha, kernel.sigma


MIXES = "samples are mixed: a batch norm in training mode, or a mean over the batch"
SPREADS = "a level for each sample is not spread over the batch: one sample's level serves all"


def channel(seen: Observed) -> Iterator[Finding]:
    """Equation (2)."""
    errors = []
    for level in LEVELS:
        kernel = seen.kernel(level)
        x = seen.noisy(kernel)[:ROWS]
        errors.append(
            _gap(seen.answer(x, kernel), seen.answer(x / kernel.alpha, Kernel(1.0, kernel.sigma / kernel.alpha)))
        )
    worst = max(errors)
    if seen.law is None:
        yield reported(
            "the answer depends on x/alpha and sigma/alpha only", worst, "largest difference, in units of the data"
        )
        return
    example = f"sigma/alpha = {LEVELS[errors.index(worst)] * seen.scale:.3g}"
    cause = "it reads alpha or sigma alone"
    yield verdict(
        "the answer depends on x/alpha and sigma/alpha only", worst, seen.rounding, example=example, cause=cause
    )


def posterior_mean(seen: Observed) -> Iterator[Finding]:
    """Equation (1): against automatic differentiation of the law's own log-density, on the data and far from them."""
    for name, stretch in (("posterior mean (Tweedie)", 1.0), ("posterior mean far from the data", FAR)):
        pairs = {level: Pair.of(seen, level, stretch) for level in LEVELS}
        errors = {level: pair.error() for level, pair in pairs.items()}
        worst = max(errors, key=errors.__getitem__)
        yield verdict(
            name,
            errors[worst],
            stretch * seen.rounding,
            example=f"sigma/alpha = {worst * seen.scale:.3g}: off by {errors[worst]:.3g}, in units of the data",
            cause=lambda pairs=pairs, most=stretch * seen.rounding: likely(_causes(list(pairs.values())), most),
            note="by level: " + ", ".join(f"{level * seen.scale:.3g}: {error:.1e}" for level, error in errors.items()),
            read="equation (1) of sde_diffusion/kernel.py",
        )


def _causes(pairs: Sequence[Pair]) -> Iterator[Candidate]:
    """The usual mistakes and the largest error over all levels when each of them is undone."""
    for words, change in VIEWS:
        yield words, lambda c=change: max(pair.error(change=c) for pair in pairs)
    for words, level in LEVEL_MISTAKES.items():
        yield words, lambda c=level: max(pair.error(level=c) for pair in pairs)
    d, exact = torch.cat([pair.d for pair in pairs]), torch.cat([pair.exact() for pair in pairs])
    yield (
        "its answer is clipped to fixed bounds (thresholding of x_0): the posterior mean goes beyond",
        lambda: clipped(d, exact),
    )
    yield "its answer is divided by a scale of its own (dynamic thresholding of x_0)", lambda: rescaled(d, exact)


def _rounded(value: Any, dtype: torch.dtype) -> float:
    return torch.tensor(float(value), dtype=torch.float64).to(dtype).item()


def _level(kernel: Kernel) -> float:
    return float(kernel.sigma) / float(kernel.alpha)


LEVEL_MISTAKES: dict[str, Callable[[Kernel], float]] = {
    "it sees twice the noise level": lambda k: 2 * _level(k),
    "it sees half of the noise level": lambda k: _level(k) / 2,
    "it sees a noise level 10% too high: that of the next step (a timestep off by one)": lambda k: 1.1 * _level(k),
    "it sees a noise level 10% too low: that of the step before (a timestep off by one)": lambda k: _level(k) / 1.1,
    "it sees sigma^2 where sigma belongs": lambda k: _level(k) ** 2,
}
for _dtype in (torch.bfloat16, torch.float16):
    LEVEL_MISTAKES |= {
        f"it sees sigma/alpha rounded to {_dtype}": lambda k, to=_dtype: _rounded(_level(k), to),
        f"it sees sigma and alpha rounded to {_dtype}": lambda k, to=_dtype: (
            _rounded(k.sigma, to) / _rounded(k.alpha, to)
        ),
        f"it sees log(sigma/alpha) rounded to {_dtype}": lambda k, to=_dtype: math.exp(
            _rounded(math.log(_level(k)), to)
        ),
    }
"""The level that a denoiser sees in the place of its own."""


@dataclass(frozen=True)
class Pair:
    """States x (B, *E) of one level, the answers d, and the law that says what they should be."""

    law: Law
    kernel: Kernel
    x: Tensor
    d: Tensor

    @classmethod
    def of(cls, seen: Observed, level: float, stretch: float) -> Pair:
        """64 noisy samples, that many times further out."""
        assert seen.law is not None
        kernel = seen.kernel(level)
        x = stretch * seen.noisy(kernel)[:64]
        return cls(seen.law.to(torch.float64), kernel, x, seen.answer(x, kernel).double())

    def exact(self, level: Callable[[Kernel], float] = _level) -> Tensor:
        """The law's posterior mean, at the level's own or another sigma/alpha."""
        other = level(self.kernel)
        y = (self.x / self.kernel.alpha).double().requires_grad_()
        log_p = self.law.through(Kernel(1.0, other)).log_prob(y).sum()
        (score,) = torch.autograd.grad(log_p, y)
        return y.detach() + other**2 * score

    def error(self, change: Correction | None = None, level: Callable[[Kernel], float] = _level) -> float:
        """The distance of the answers from it, for a changed output, or a changed level."""
        d = self.d if change is None else change(self.d, self.x.double(), self.kernel)
        return _gap(d, self.exact(level))


def gradient(seen: Observed) -> Iterator[Finding]:
    """Equation (3), at a few points."""
    if seen.x0[0].numel() > LARGEST:
        return
    worst = 0.0
    for level in LEVELS[1:4]:
        kernel = seen.kernel(level)
        for x in seen.noisy(kernel)[:ROWS]:
            jacobian = _jacobian(lambda x, k=kernel: seen.denoiser(x[None], k)[0], x)
            skew = (jacobian - jacobian.mT).abs().max() / jacobian.abs().max().clamp(min=1e-12)
            worst = max(worst, skew.item())
    name = "the Jacobian is symmetric (the score is a gradient)"
    if seen.law is None:
        yield reported(name, worst, "relative asymmetry")
        return
    yield verdict(
        name,
        worst,
        10 * seen.rounding,
        cause="the answer is no posterior mean",
        read="equation (3) of sde_diffusion/testing/tweedie.py",
    )


def _jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    d = x.numel()
    return torch.autograd.functional.jacobian(function, x).reshape(d, d)


def fokker_planck(seen: Observed) -> Iterator[Finding]:
    """Equation (4), in float64 where the denoiser takes it; derivatives in v by differences."""
    if seen.x0[0].numel() > LARGEST:
        return
    errors = {level: max(_heat_residual(seen, x, level * seen.scale) for x in seen.x0[:3]) for level in (0.6, 1.5)}
    worst = max(errors, key=errors.__getitem__)
    name, note = (
        "residual of the score's Fokker-Planck equation",
        "relative, by sigma/alpha: "
        + ", ".join(f"{level * seen.scale:.3g}: {error:.1e}" for level, error in errors.items()),
    )
    if seen.law is None or seen.x0.dtype != torch.float64:
        yield reported(name, errors[worst], note)
        return
    cause = "answers at neighbouring noise levels do not belong to one law: the level it sees is not sigma/alpha"
    read = "equation (4) of sde_diffusion/testing/tweedie.py"
    yield verdict(
        name, errors[worst], 1e-5, example=f"sigma/alpha = {worst * seen.scale:.3g}", cause=cause, note=note, read=read
    )


def _heat_residual(seen: Observed, y: Tensor, kappa: float) -> float:
    """The residual of (4) at y = x/alpha, relative to |ds/dv| and the right side."""

    def score(y: Tensor, v: float) -> Tensor:
        return (seen.denoiser(y[None], Kernel(1.0, math.sqrt(v)))[0] - y) / v

    def source(y: Tensor) -> Tensor:
        jacobian = torch.autograd.functional.jacobian(lambda y: score(y, v), y, create_graph=True)
        return 0.5 * (jacobian.reshape(y.numel(), -1).trace() + score(y, v).square().sum())

    v = kappa**2
    h = 1e-3 * v
    slope = (8 * (score(y, v + h) - score(y, v - h)) - (score(y, v + 2 * h) - score(y, v - 2 * h))) / (12 * h)
    right = torch.autograd.functional.jacobian(source, y)
    return ((slope - right).abs().max() / (slope.abs().max() + right.abs().max()).clamp(min=1e-12)).item()


def _gap(a: Tensor, b: Tensor) -> float:
    error = (a - b).abs().max().item()
    return error if error == error else math.inf
