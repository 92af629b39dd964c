r"""What follows from alpha and sigma alone: the log-SNR and its inverse, transitions, the posterior, the marginal, the prior.

    transition   x_t | x_s ~ N(a x_s, sigma_t^2 - a^2 sigma_s^2),  a = alpha_t/alpha_s                             (1)
    posterior    p(x_s | x_t, x_0) proportional to N(x_t; a x_s, .) N(x_s; alpha_s x_0, sigma_s^2)                 (2)
    prior        N(alpha_T m, alpha_T^2 v + sigma_T^2) for data of mean m and variance v                           (3)

(2) is integrated on a grid, not taken from a formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.testing.times import first_time, inner_times, log_snr_range, time_of
from solvers.testing.diagnosis import FACTORS, likely
from solvers.testing.report import Finding, reported, verdict

READ = "equations (3) and (4) of sde_diffusion/sde/base.py"


def log_snr(sde: LinearSDE) -> Iterator[Finding]:
    """log(alpha^2/sigma^2) falls all the way, `log_snr` is it, and `time` inverts it."""
    t = inner_times(sde, 200).tolist()
    levels = [2 * (math.log(float(sde.alpha(s))) - math.log(float(sde.sigma(s)))) for s in t]
    rises = [b - a for a, b in zip(levels, levels[1:], strict=False)]
    worst = max(range(len(rises)), key=rises.__getitem__)
    example = f"from t = {t[worst]:.6g} to {t[worst + 1]:.6g} it rises by {rises[worst]:.3g}"
    cause = "alpha rises or sigma/alpha falls somewhere: the process takes noise away"
    yield verdict(
        "log-SNR falls", max(rises[worst], 0.0), 0.0, example=example, cause=cause, read="sde_diffusion/sde/base.py"
    )
    off = [abs(float(sde.log_snr(s)) - level) for s, level in zip(t, levels, strict=True)]
    yield verdict(
        "log_snr is log(alpha^2/sigma^2)",
        max(off),
        1e-9 * max(map(abs, levels)),
        example=f"t = {t[off.index(max(off))]:.6g}",
    )
    yield _inverse(sde, t, levels)


def _inverse(sde: LinearSDE, t: list[float], levels: list[float]) -> Finding:
    def error(change: Callable[[float], float] = float) -> float:
        return max(abs(float(sde.time(change(level))) / s - 1) for s, level in zip(t, levels, strict=True))

    causes = [
        ("time() takes log(alpha/sigma), half of the log-SNR", partial(error, lambda level: level / 2)),
        ("time() takes twice the log-SNR", partial(error, lambda level: 2 * level)),
        ("time() takes the log-SNR with the other sign", partial(error, lambda level: -level)),
        ("time() takes log(sigma/alpha)", partial(error, lambda level: -level / 2)),
    ]
    return verdict(
        "time inverts log_snr",
        error(),
        1e-7,
        example=f"t = {t[0]:.6g} comes back as {float(sde.time(levels[0])):.6g}",
        cause=lambda: likely(causes, 1e-7),
    )


def transitions(sde: LinearSDE) -> Iterator[Finding]:
    """Equation (1): from any s the transition leads to the marginal of t."""
    times, worst = inner_times(sde, 9).tolist(), (0.0, 0.0, 0.0)
    for s, t in ((s, t) for s in times for t in times if s < t):
        step, a = sde.transition(t, s), float(sde.alpha(t)) / float(sde.alpha(s))
        spread = (float(step.alpha) * float(sde.sigma(s))) ** 2 + float(step.sigma) ** 2
        error = max(abs(float(step.alpha) / a - 1), abs(spread / float(sde.sigma(t)) ** 2 - 1))
        worst = max(worst, (error, s, t))
    error, s, t = worst
    yield verdict(
        "transitions compose",
        error,
        1e-9,
        example=f"from s = {s:.6g} to t = {t:.6g}",
        cause=lambda: _of_transition(sde, s, t),
        read=READ,
    )

    near = [(t * (1 - 2e-5), t * (1 - 1e-5), t) for t in times]
    lost = [_composed(sde, *three) for three in near]
    worst = lost.index(max(lost))
    yield verdict(
        "transitions of short steps compose",
        lost[worst],
        1e-6,
        example=f"r, s, t = {', '.join(f'{t:.8g}' for t in near[worst])}",
        cause="a difference of nearly equal numbers: take it inside expm1, of the log-SNRs",
        read=READ,
    )


def _composed(sde: LinearSDE, r: float, s: float, t: float) -> float:
    """How far the variances of r to s and s to t are from that of r to t, relative to it."""
    first, second, both = sde.transition(s, r), sde.transition(t, s), sde.transition(t, r)
    variance = (float(second.alpha) * float(first.sigma)) ** 2 + float(second.sigma) ** 2
    return abs(variance / float(both.sigma) ** 2 - 1)


def _of_transition(sde: LinearSDE, s: float, t: float) -> str:
    step, a = sde.transition(t, s), float(sde.alpha(t)) / float(sde.alpha(s))
    right = math.sqrt(float(sde.sigma(t)) ** 2 - (a * float(sde.sigma(s))) ** 2)
    wholes = [
        (
            "the transition takes all of sigma_t: the noise that x_s has already is counted twice",
            abs(float(step.sigma) / float(sde.sigma(t)) - 1),
        )
    ]
    factors = [
        (f"the transition's sigma {words}", abs(float(undo(torch.tensor(step.sigma))) / right - 1))
        for words, undo in FACTORS
    ]
    return likely([(words, lambda e=e: e) for words, e in wholes + factors], 1e-6)


def posterior(sde: LinearSDE) -> Iterator[Finding]:
    """Equation (2), at pairs of times that lie up to one and a half nats of log-SNR apart."""
    x0, z_s, z_t = 0.7, -0.4, 1.1
    worst = (0.0, 0.0, 0.0, 0.0, 0.0)
    low, high = log_snr_range(sde, -3.5, 4.0)
    gap = min(1.5, high - low)
    for share in (0.0, 0.5, 1.0):
        level = low + gap + share * (high - low - gap)
        s, t = time_of(sde, level), time_of(sde, level - gap)
        x_t = float(sde.alpha(t)) * x0 + float(sde.sigma(t)) * (z_s + z_t) / 2
        mean, std = bayes(sde, x_t, x0, t, s)
        m, d = sde.posterior(
            torch.tensor([[x_t]], dtype=torch.float64), torch.tensor([[x0]], dtype=torch.float64), t, s
        )
        worst = max(worst, (max(abs(m.item() - mean) / std, abs(float(d) / std - 1)), s, t, float(d), std))
    error, s, t, d, std = worst
    yield verdict(
        "posterior is Bayes' rule",
        error,
        1e-6,
        example=f"s = {s:.6g}, t = {t:.6g}: std {d:.6g}, by quadrature {std:.6g}",
        cause=lambda: _of_posterior(sde, s, t, d, std),
        read=READ,
    )


def bayes(sde: LinearSDE, x_t: float, x0: float, t: float, s: float) -> tuple[float, float]:
    """Mean and standard deviation of x_s by equation (2), on 4001 points of ten standard deviations on either side."""
    a, sigma_s = float(sde.alpha(t)) / float(sde.alpha(s)), float(sde.sigma(s))
    left = float(sde.sigma(t)) ** 2 - (a * sigma_s) ** 2
    x: Tensor = float(sde.alpha(s)) * x0 + sigma_s * torch.linspace(-10, 10, 4001, dtype=torch.float64)
    weight = torch.softmax(-0.5 * ((x - float(sde.alpha(s)) * x0) / sigma_s) ** 2 - 0.5 * (x_t - a * x) ** 2 / left, 0)
    mean = (weight * x).sum()
    return mean.item(), ((weight * (x - mean) ** 2).sum()).sqrt().item()


def _of_posterior(sde: LinearSDE, s: float, t: float, d: float, std: float) -> str:
    step = float(sde.sigma(t)) * std / float(sde.sigma(s))
    causes = [("the posterior takes the forward step's deviation (beta for beta_tilde)", abs(d / step - 1))]
    causes += [(f"the posterior's std {words}", abs(float(undo(torch.tensor(d))) / std - 1)) for words, undo in FACTORS]
    causes += [("the weights of x_0 and x_t in the posterior's mean", 0.0)] if abs(d / std - 1) < 1e-6 else []
    return likely([(words, lambda e=e: e) for words, e in causes], 1e-4)


def marginal(sde: LinearSDE) -> Iterator[Finding]:
    """`marginal` is (alpha x_0, sigma)."""
    x0, t = torch.tensor([[0.7]], dtype=torch.float64), (first_time(sde) + sde.horizon) / 3
    mean, std = (value.item() for value in sde.marginal(x0, t))
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    causes = [
        (
            f"marginal's std {words}",
            lambda undo=undo: abs(float(undo(torch.tensor(std, dtype=torch.float64))) / sigma - 1),
        )
        for words, undo in FACTORS
    ]
    yield verdict(
        "marginal is N(alpha x_0, sigma^2)",
        max(abs(mean - 0.7 * alpha) / (0.7 * alpha), abs(std / sigma - 1)),
        1e-9,
        example=f"t = {t:.6g}, x_0 = 0.7: ({mean:.6g}, {std:.6g}), expected ({0.7 * alpha:.6g}, {sigma:.6g})",
        cause=lambda: likely(causes, 1e-6),
        read="equation (1) of sde_diffusion/sde/base.py",
    )


def prior(sde: LinearSDE) -> Iterator[Finding]:
    """Equation (3), and how far a standard prior is from the distribution at the horizon."""
    alpha, sigma = float(sde.alpha(sde.horizon)), float(sde.sigma(sde.horizon))
    mean, variance = 1.0, 0.25
    given, right = sde.prior(mean, variance), math.sqrt(alpha**2 * variance + sigma**2)
    causes = [
        (
            "the prior's std is a variance: sigma^2 stands where sigma belongs",
            lambda: abs(math.sqrt(given.std) / right - 1),
        )
    ]
    causes += [
        (f"the prior's std {words}", lambda undo=undo: abs(float(undo(torch.tensor(given.std))) / right - 1))
        for words, undo in FACTORS
    ]
    causes += [
        ("the prior forgets the data's variance, which the process does not", lambda: abs(given.std / sigma - 1))
    ]
    yield verdict(
        "prior has the moments of the law at the horizon",
        max(abs(float(given.mean) - alpha * mean) / right, abs(given.std / right - 1)),
        1e-6,
        example=f"data of mean 1 and variance 1/4: std {given.std:.6g}, expected {right:.6g}",
        cause=lambda: likely(causes, 1e-4),
        read="equation (3) of sde_diffusion/testing/channels.py",
    )
    standard, v = sde.prior(), alpha**2 + sigma**2
    ratio = v / standard.std**2
    kl = 0.5 * (ratio - 1 - math.log(ratio) + (alpha / standard.std) ** 2)
    yield reported(
        "prior mismatch", kl, "KL(p_T || prior()) in nats a coordinate, for data N(1, 1): samples inherit it"
    )
