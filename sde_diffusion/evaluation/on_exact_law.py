r"""Samplers compared on an exact law: its denoiser is known, so only the sampler's error is measured.

    error of the flow   root mean square, over samples and coordinates, of x - x*, where x* is the end of the exact
                        probability flow from the same initial state; for deterministic samplers
    sliced W2           to exact samples at t_min, beside the same distance of other exact samples
    log-density gap     |mean log p(x) - E log p| in nats, p the density at t_min

All samplers end on x at t_min itself, without the final denoising step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.denoisers.counting import CallCounter
from sde_diffusion.evaluation.comparison import Comparison, SamplerResult, Score
from sde_diffusion.evaluation.generate import at_budgets
from sde_diffusion.exact import ExactDenoiser, Law, flow_end_point
from sde_diffusion.io.terminal import progress_bar
from sde_diffusion.metrics import bootstrap, sliced_wasserstein
from sde_diffusion.reversal import Reversal, probability_flow
from sde_diffusion.sampling.sample import initial_state, sample
from sde_diffusion.sampling.sampler import Sampler
from sde_diffusion.sde import GaussianPrior, LinearSDE
from solvers.integrate import FixedGrid
from solvers.wiener import PathSpec

FLOW_POINTS = 128
"""How many samples the exact flow is solved for; it is slow."""

FLOW_TOLERANCE = 1e-9
EXACT_DRAWS = 50_000
EXACT_SETS = 24
"""How many sets of exact samples the baseline of the distance is taken from."""

RESAMPLES = 24
DIRECTIONS = 64


class ExactLawBenchmark:
    """Exact samples of a law under a process, the ends of its exact flow, and the scores of any sampler.

    Args:
        law: the exact law of the data.
        sde: the process that adds the noise.
        count: samples of each sampler.
        seed: from which the samples, the exact samples and the resampling are made.
    """

    def __init__(self, law: Law, sde: LinearSDE, count: int, seed: int) -> None:
        self.law, self.sde, self.count, self.seed = law, sde, count, seed
        self.target = law.through(sde.kernel(sde.t_min))
        generator = torch.Generator().manual_seed(seed)
        self.exact_samples = self.target.sample(count, generator).flatten(1)
        others = (self.target.sample(count, generator).flatten(1) for _ in range(EXACT_SETS))
        distances = [_distance(other, self.exact_samples) for other in others]
        self.baseline = np.quantile(distances, [0.025, 0.5, 0.975]).tolist()
        self.log_density = self.target.log_prob(self.target.sample(EXACT_DRAWS, generator)).mean().item()
        self._flow_ends: Tensor | None = None

    @property
    def prior(self) -> GaussianPrior:
        """The Gaussian at the horizon with the first two moments of the law there."""
        return self.sde.prior(self.law.mean, self.law.variance.mean().item())

    def flow_ends(self) -> Tensor:
        """The ends of the exact flow from the first initial states, (at most FLOW_POINTS, *E); solved once."""
        if self._flow_ends is None:
            flow = probability_flow(self.sde, ExactDenoiser(self.law), self.prior)
            numbers = torch.arange(min(FLOW_POINTS, self.count))
            spec = PathSpec(self.seed, numbers, tuple(self.law.event_shape), flow.start, flow.stop, torch.float64)
            start = initial_state(flow, spec)
            ends = flow_end_point(self.law, self.sde.kernel, start, flow.start, flow.stop, tol=FLOW_TOLERANCE)
            self._flow_ends = ends
        return self._flow_ends

    def run(self, sampler: Sampler) -> SamplerResult:
        """The sampler's cost and scores."""
        denoiser, data_std = CallCounter(ExactDenoiser(self.law)), self.law.variance.mean().sqrt().item()
        reversal, solver = sampler.without_final_denoise().build(self.sde, denoiser, data_std=data_std)
        begun = reversal.with_prior(self.prior).without_final_denoise()
        shape, start = (self.count, *self.law.event_shape), time.perf_counter()
        x = sample(begun, solver, shape, self.seed, chunk=self.count, dtype=torch.float64)
        seconds, rows = time.perf_counter() - start, denoiser.rows
        scores = self._scores(reversal, x)
        steps = solver.steps if isinstance(solver, FixedGrid) else sampler.steps
        return SamplerResult(sampler.label, str(sampler), steps, rows / self.count, seconds, scores)

    def _scores(self, reversal: Reversal, x: Tensor) -> list[Score]:
        flow = [] if reversal.equation.stochastic else [self._flow_error(x)]
        return [*flow, self._distance(x), self._gap(x)]

    def _flow_error(self, x: Tensor) -> Score:
        ends = self.flow_ends()
        error = bootstrap(_rms, (x[: len(ends)] - ends).flatten(1), resamples=RESAMPLES, seed=self.seed)
        return Score("error of the flow", error.value, max(error.low, 0.0), error.high)

    def _distance(self, x: Tensor) -> Score:
        found = bootstrap(_distance, x.flatten(1), self.exact_samples, resamples=RESAMPLES, seed=self.seed)
        return Score("sliced W2", found.value, max(found.low, 0.0), found.high, self.baseline[1])

    def _gap(self, x: Tensor) -> Score:
        values = self.target.log_prob(x)
        gap = abs(values.mean().item() - self.log_density)
        half = 1.96 * values.std().item() / math.sqrt(len(values))
        return Score("log-density gap", gap, max(gap - half, 0.0), gap + half)

    def comparison(self, subject: str, results: list[SamplerResult]) -> Comparison:
        """The results with the baseline of exact samples."""
        baselines = {"sliced W2": (self.baseline[0], self.baseline[2])}
        words = f"exact samples (95% of {EXACT_SETS} sets)"
        return Comparison(subject, self.count, self.seed, results, baselines, words)


def compare_on_law(
    law: Law,
    sde: LinearSDE,
    samplers: Sequence[Sampler],
    budgets: Sequence[int] = (8, 16, 32, 64, 128),
    count: int = 2000,
    seed: int = 0,
    subject: str = "exact law",
) -> Comparison:
    """Each sampler at each budget of network evaluations on an exact law: `count` samples each, from one seed."""
    benchmark = ExactLawBenchmark(law, sde, count, seed)
    runs = progress_bar(at_budgets(samplers, budgets), "samplers")
    return benchmark.comparison(subject, [benchmark.run(sampler) for sampler in runs])


def _rms(errors: Tensor) -> float:
    return errors.square().mean().sqrt().item()


def _distance(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein(x, y, DIRECTIONS)
