r"""`check_sampler`: a whole sampler, ours or another library's, against exact laws.

    print(check_sampler(ours("DDIM", data_form, ExponentialEuler(), order=1)))
    print(check_sampler(k_diffusion.sampler(sample_dpmpp_2m, order=2)))

A deterministic sampler is held against the exact flow of a mixture (`exact.reference_flow`), a stochastic one against
the exact mean and variance of a Gaussian law, by one impulse in each step: no random number is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.testing.laws import LAW, MEAN, VARIANCE, FromLaw, Moments, distance
from sde_diffusion.testing.sampler import SamplerUnderTest
from sde_diffusion.testing.sampler_calls import independent_noise, levels
from sde_diffusion.testing.sampler_runs import SPAN, UNEVEN, denoising, noise_of, problem, run
from solvers.grids import Spacing, geometric, uniform
from solvers.testing.behaviour import gap
from solvers.testing.diagnosis import likely
from solvers.testing.exactness import NOISE_FACTORS
from solvers.testing.host import host_reads
from solvers.testing.orders import Observed, alternating, from_errors, observed_order
from solvers.testing.paths import ScaledPath
from solvers.testing.report import FULL, QUICK, Finding, Report, reported, run_checks, verdict
from solvers.testing.untouched import untouched, written
from solvers.wiener import WienerPath

STEPS = {QUICK: (20, 40, 80), FULL: (20, 40, 80, 160)}
LAST = 640
ROUNDING = 1e-12
TOLERANCE = 0.25
POINT = 0.7
SMALL = 1e-3
CLIPS = (
    "right on small data only: the state, or the denoiser's answer, is clipped (clip_sample, thresholding) at each step"
)


def check_sampler(sampler: SamplerUnderTest, level: str = QUICK) -> Report:
    """The report on a sampler.

    Raises:
        TypeError: not a `SamplerUnderTest`.
        ValueError: an unknown level.
    """
    if not isinstance(sampler, SamplerUnderTest):
        raise TypeError(
            f"check_sampler takes a SamplerUnderTest, got {type(sampler).__name__}; an adapter or `ours` makes one"
        )
    order = _stochastic_order if sampler.stochastic else _deterministic_order
    looks: list[Callable[[SamplerUnderTest], Iterator[Finding]]] = [
        statelessness,
        global_draws,
        batch_invariance,
        last_step,
        levels,
        independent_noise,
        inputs,
        edges,
        precision,
        reads,
    ]
    checks = [
        ("order", partial(order, sampler, level)),
        *((look.__name__.replace("_", " "), partial(look, sampler)) for look in looks),
    ]
    return run_checks(sampler.name, level, checks)


def flow_errors(
    sampler: SamplerUnderTest, steps: tuple[int, ...], spacing: Spacing = UNEVEN, size: float = 1.0
) -> list[float]:
    """Root mean square distances to the exact flow's end; `size` is the unit of data and states."""
    law, y, exact = problem()
    ends = [sampler.run(denoising(law, size), size * y.clone(), size * spacing(*SPAN, n), None) / size for n in steps]
    return [(end.double() - exact).square().mean().sqrt().item() for end in ends]


def refined(error: Callable[[int], float], steps: Sequence[int], least: float) -> list[float]:
    """Errors at these numbers of steps and, where an order falls short, at more: two terms may cancel by chance at few.

    Two orders in a row must then reach the least one.
    """
    errors, most = [error(n) for n in steps], steps[-1]
    if not all(ROUNDING < e < math.inf for e in errors) or observed_order(errors) >= least - TOLERANCE:
        return errors
    while (
        most < LAST
        and errors[-1] > ROUNDING
        and not min(observed_order(errors), observed_order(errors[:-1])) >= least - TOLERANCE
    ):
        most *= 2
        errors.append(error(most))
    return errors


def _deterministic_order(sampler: SamplerUnderTest, level: str) -> Iterator[Finding]:
    errors = refined(lambda n: flow_errors(sampler, (n,))[0], STEPS[level], _least(sampler))
    yield from _order(sampler, errors, lambda: _why_grid(sampler, level, from_errors(errors).order))

    if not errors[-1] > errors[0] / 4:
        yield _rough(sampler, level)


def rough(start: float, stop: float, steps: int) -> Tensor:
    """Steps of lengths 1, 3, 2, ... in log(sigma)."""
    return alternating(math.log(start), math.log(stop), steps).exp()


def _rough(sampler: SamplerUnderTest, level: str) -> Finding:
    """The order where neighbouring steps are not alike."""
    seen = from_errors(flow_errors(sampler, STEPS[level], rough))
    smooth = from_errors(flow_errors(sampler, STEPS[level], geometric))
    least = smooth.order if sampler.order is None else sampler.order
    return verdict(
        "order on alternating steps",
        max(least - seen.order, 0.0),
        2 * TOLERANCE,
        example=f"log(sigma) in steps of lengths 1, 3, 2, ...: observed {seen}, in equal ones {smooth}",
        cause="the weights of a step belong to another step (an index, fixed weights): right where neighbouring steps are alike",
        note=f"observed {seen}, declared {sampler.order}, in equal steps {smooth}",
        read="solvers/testing/orders.py",
    )


def _why_grid(sampler: SamplerUnderTest, level: str, order: float) -> str:
    """Whether the order is there on grids of equal steps; what is not even consistent on others steps by 1/N."""
    declared = sampler.order or 1.0
    why = (
        "it steps by 1/N, not by the grid's own step"
        if order < 0.5
        else "weights made for such grids, or a start too low"
    )
    grids = {"sigma": uniform, "log(sigma)": geometric}
    causes = [(CLIPS, lambda: declared - from_errors(flow_errors(sampler, STEPS[level], size=SMALL)).order)]
    causes += [
        (
            f"right on grids uniform in {name} only: {why}",
            lambda g=g: declared - from_errors(flow_errors(sampler, STEPS[level], g)).order,
        )
        for name, g in grids.items()
    ]
    return likely(causes, TOLERANCE)


def law_errors(
    sampler: SamplerUnderTest, steps: int, factor: float = 1.0, spacing: Spacing = UNEVEN, size: float = 1.0
) -> Moments:
    """Errors of mean and variance at the last level, from the exact law at the first; `size` is the unit of the states."""
    kappas = size * spacing(*SPAN, steps)
    path = FromLaw(kappas)
    noise: WienerPath = path if factor == 1.0 else ScaledPath(path, factor)
    start = size * path.start((MEAN, VARIANCE + SPAN[0] ** 2))
    end = sampler.run(denoising(LAW, size), start, kappas, noise) / size
    return distance(path.moments(end.double()), (MEAN, VARIANCE + SPAN[1] ** 2))


def _stochastic_order(sampler: SamplerUnderTest, level: str) -> Iterator[Finding]:
    errors = refined(lambda n: max(law_errors(sampler, n)), STEPS[level], _least(sampler))

    def slow(factor: float = 1.0, spacing: Spacing = UNEVEN, size: float = 1.0) -> float:
        seen = from_errors([max(law_errors(sampler, n, factor, spacing, size)) for n in STEPS[level]])
        return (sampler.order or 1.0) - seen.order

    causes = [(words, partial(slow, factor)) for words, factor in NOISE_FACTORS.items()]
    causes += [("the drift is the flow's (half of the score), and noise is added to it", partial(slow, 0.0))]
    causes += [("right on grids uniform in sigma only: steps of 1/N", partial(slow, spacing=uniform))]
    causes += [(CLIPS, partial(slow, size=SMALL))]
    yield from _order(sampler, errors, lambda: likely(causes, TOLERANCE))


def _least(sampler: SamplerUnderTest) -> float:
    """The declared order, or that of convergence."""
    return 1.0 if sampler.order is None else sampler.order


def _order(sampler: SamplerUnderTest, errors: list[float], cause: Callable[[], str]) -> Iterator[Finding]:
    """Whether the errors fall, and at the declared order."""
    seen = from_errors(errors) if errors[-1] > ROUNDING else Observed(math.inf, math.inf, math.inf)
    what = "mean and variance" if sampler.stochastic else "the exact flow"
    yield verdict(
        "order" if sampler.order is not None else "convergence",
        max(_least(sampler) - seen.order, 0.0) if math.isfinite(errors[-1]) else math.inf,
        TOLERANCE if sampler.order is not None else 0.5,
        example=f"{what}: errors {', '.join(f'{e:.2g}' for e in errors)} at twice the steps each",
        cause=cause,
        note=f"observed {seen}, declared {sampler.order}; error {errors[-1]:.2g} at the finest",
        read="solvers/testing/orders.py",
    )


def statelessness(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """A run is what it was after another run."""
    first = run(sampler, 8)
    run(sampler, 5)
    cause = "it remembers an earlier run (a step index, a history on the object), or draws noise of its own"
    yield verdict(
        "statelessness", gap(first, run(sampler, 8)), 0.0, example="8 steps, 5 steps, 8 steps again", cause=cause
    )


def global_draws(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """Whether a run moves torch's global generator: what else the program draws then depends on the sampler."""
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        run(sampler, 4)
        moved = not torch.equal(before, torch.get_rng_state())
    yield reported(
        "draws from the global generator", float(moved), "1 if it does, though noise was given or none is wanted"
    )


def batch_invariance(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """A sample alone ends where it ends among others."""
    together = run(sampler, 8)
    errors = [gap(run(sampler, 8, [i]), together[i : i + 1]) for i in range(0, 16, 3)]
    cause = "a norm, a mean or a step size is taken over the batch: take it for each sample"
    example = f"8 steps, sample {3 * errors.index(max(errors))} alone and in the batch"
    yield verdict("batch invariance", max(errors), 1e-10, example=example, cause=cause)


def last_step(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """Data at one point, levels that end at sigma = 0: every sampler with the exact denoiser ends on the point."""
    kappas = torch.cat([UNEVEN(*SPAN, 9), torch.zeros(1, dtype=torch.float64)])
    _, y, _ = problem()

    def error(factor: float) -> float:
        noise = noise_of(sampler, torch.arange(16))
        scaled = noise if noise is None or factor == 1.0 else ScaledPath(noise, factor)
        end = sampler.run(lambda y, kappa: torch.full_like(y, POINT), y, kappas, scaled)
        return gap(end, torch.full_like(end, POINT))

    causes = (
        [("noise is added on the last step: return the mean there", partial(error, 0.0))] if sampler.stochastic else []
    )
    off = error(1.0)
    yield verdict(
        "last step to sigma = 0",
        off,
        1e-6,
        example=f"data at {POINT}, 9 steps from {SPAN[0]:g} to {SPAN[1]:g} and one to 0",
        cause=lambda: (
            likely(causes, 1e-6)
            or ("it divides by sigma = 0" if off == math.inf else "the last step is not the denoiser's answer")
        ),
        read="sde_diffusion/reversal/base.py: finish",
    )


def inputs(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """The state, the levels and the denoiser's answers are left as they are."""
    law, y, _ = problem()
    kappas, answers = UNEVEN(*SPAN, 6), []

    def kept(y: Tensor, kappa: float) -> Tensor:
        d = law.denoise(y, Kernel(1.0, kappa))
        answers.append((d, d.clone()))
        return d

    given = y.clone()
    states = written(lambda: sampler.run(kept, given, kappas, noise_of(sampler, torch.arange(16))), given, kappas)
    found = {
        "the sampler writes into the state or the levels that it is given": states,
        "the sampler writes into the denoiser's answer": not all(torch.equal(d, before) for d, before in answers),
    }
    yield untouched("inputs are left alone", found)


def edges(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """One step and two steps end on numbers."""
    ends = [run(sampler, steps) for steps in (1, 2)]
    yield verdict(
        "1 step and 2 steps", float(not all(torch.isfinite(end).all() for end in ends)), 0.0, example="NaN or infinity"
    )


def precision(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """How far float32 states end from float64 ones."""
    law, y, _ = problem()
    single = sampler.run(
        denoising(law), y.float(), UNEVEN(*SPAN, 8), noise_of(sampler, torch.arange(16), torch.float32)
    )
    yield reported(
        "float32 states", gap(single.double(), run(sampler, 8)), f"largest difference; the answer is {single.dtype}"
    )


def reads(sampler: SamplerUnderTest) -> Iterator[Finding]:
    """How often a step, in its own code or in its adapter's, reads a value back to the host."""
    few, many = (len(host_reads(lambda n=n: run(sampler, n))[1]) for n in (4, 8))
    yield reported(
        "host reads in a step", (many - few) / 4, "on an accelerator each of them waits; those of an adapter count"
    )
