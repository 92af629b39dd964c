r"""What a sampler shows its denoiser: the level of the state itself, with all its digits; and the noise between two calls.

On Gaussian data with mean m and variance v, a state whose variance is V has the level sqrt(V - v) (1). The variance at the
first call is exact, by impulses: what a sampler adds before that call (churn) is in it.

The denoiser D(y) = y has no score (2): between two calls the state moves by noise alone.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, algorithm 2
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sde_diffusion.testing.laws import LAW, MEAN, VARIANCE, FromLaw
from sde_diffusion.testing.sampler import Denoise, SamplerUnderTest
from sde_diffusion.testing.sampler_runs import SPAN, UNEVEN, denoising, noise_of, problem
from solvers.testing.report import Finding, verdict

STEPS = 6
Call = tuple[Tensor, float]


def heard(denoise: Denoise, calls: list[Call]) -> Denoise:
    """The denoiser, which notes the states and the levels that it is shown."""

    def listening(y: Tensor, kappa: float) -> Tensor:
        calls.append((y.clone(), float(kappa)))
        return denoise(y, kappa)

    return listening


def calls_of(sampler: SamplerUnderTest) -> list[Call]:
    """Of a run on the mixture."""
    law, y, _ = problem()
    calls: list[Call] = []
    sampler.run(heard(denoising(law), calls), y, UNEVEN(*SPAN, STEPS), noise_of(sampler, torch.arange(16)))
    return calls


def levels(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """The denoiser is first evaluated at the level that the state has, and no level is rounded to 16 bits."""
    grid, calls = UNEVEN(*SPAN, STEPS).tolist(), calls_of(sampler)
    asked = calls[0][1] if calls else math.nan
    has = level_at_first_call(sampler) if sampler.stochastic and calls else grid[0]
    off = abs(asked / has - 1)
    yield verdict(
        "the denoiser is asked at the state's own level",
        off,
        1e-6,
        example=f"a state at sigma/alpha = {has:g} is shown with {asked:.6g}",
        cause=_why_level(asked, has, grid),
        note=f"{len(calls)} calls in {STEPS} steps",
    )
    rounded = [str(dtype) for dtype in (torch.bfloat16, torch.float16) if calls and _fits([k for _, k in calls], dtype)]
    yield verdict(
        "levels keep their digits",
        float(bool(rounded)),
        0.0,
        example=f"all {len(calls)} levels of a run, such as {calls[-1][1] if calls else math.nan:.9g}, are {' and '.join(rounded)} numbers",
        cause=f"the level is rounded to {' or '.join(rounded)}: keep it in float32 or more, the network alone in 16 bits",
        read="docs/conformance.md",
    )


def level_at_first_call(sampler: SamplerUnderTest) -> float:
    """Equation (1)."""
    kappas, calls = UNEVEN(*SPAN, STEPS), []
    path = FromLaw(kappas)
    sampler.run(heard(denoising(LAW), calls), path.start((MEAN, VARIANCE + SPAN[0] ** 2)), kappas, path)
    return math.sqrt(max(path.moments(calls[0][0].double())[1] - VARIANCE, 0.0))


def _why_level(asked: float, has: float, grid: list[float]) -> str:
    nearest = min(range(len(grid)), key=lambda i: abs(grid[i] - asked))
    if nearest and math.isclose(has, grid[0], rel_tol=1e-6):
        return f"timesteps are off by {nearest}: the level is that of another step"
    if has > grid[0] * (1 + 1e-6):
        return "noise is added first (churn), and the denoiser is shown a level from before it: pass the raised one"
    if asked > grid[0] * (1 + 1e-3):
        return "the denoiser is shown a raised level (churn), and no noise was added to the state"
    return "the level is rounded"


def _fits(levels: list[float], dtype: torch.dtype) -> bool:
    """Whether all are numbers of a dtype."""
    found = torch.tensor(levels, dtype=torch.float64)
    return torch.equal(found.to(dtype).double(), found)


def independent_noise(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """The noise of neighbouring steps, by (2): the smallest correlation over 512 samples, which is 1 where one draw is repeated."""
    if not sampler.stochastic:
        return
    rows, calls = torch.arange(512), []
    y = SPAN[0] * torch.linspace(-1, 1, len(rows), dtype=torch.float64)[:, None]
    sampler.run(heard(lambda y, kappa: y, calls), y, UNEVEN(*SPAN, STEPS), noise_of(sampler, rows))
    moves = [(b - a).flatten() for (a, _), (b, _) in zip(calls, calls[1:], strict=False)]
    moves = [move for move in moves if move.abs().max() > 1e-9]
    found = [abs(torch.corrcoef(torch.stack(pair))[0, 1].item()) for pair in zip(moves, moves[1:], strict=False)]
    yield verdict(
        "noise of neighbouring steps is independent",
        min(found, default=0.0),
        0.9,
        example=f"correlations from step to step: {', '.join(f'{c:.3f}' for c in found)}",
        cause="one draw serves all steps: a generator is seeded anew at each of them",
        read="equation (2) of sde_diffusion/testing/sampler_calls.py",
    )
