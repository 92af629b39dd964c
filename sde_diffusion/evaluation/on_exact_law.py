r"""Samplers compared on a law whose denoiser is known: what is measured is the error of the sampler and nothing else.

    error of the flow   root mean square, over samples and coordinates, of x - x*, where x* is where the exact flow
                        carries the same initial state; for deterministic samplers
    sliced W2           to exact draws of the law at t_min, beside the same distance of other exact draws
    log-density gap     |mean log p(x) - E log p| in nats, p the law at t_min

All samplers end on x at t_min itself, without the denoising step, which none of these laws asks for.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.denoisers.counting import CallCounter
from sde_diffusion.evaluation.comparison import Comparison, SamplerResult, Score
from sde_diffusion.evaluation.recipe import Recipe, paths_for
from sde_diffusion.exact import ExactDenoiser, Law, flow_end_point
from sde_diffusion.metrics import bootstrap, sliced_wasserstein
from sde_diffusion.reversal import Reversal, probability_flow
from sde_diffusion.sampling.sample import initial_state, sample
from sde_diffusion.sde import GaussianPrior, LinearSDE
from solvers.wiener import PathSpec

FLOW_POINTS = 128
"""How many samples are carried by the exact flow, which is slow."""

FLOW_TOLERANCE = 1e-9
EXACT_DRAWS = 50_000
EXACT_SETS = 24
"""How many exact sets of samples the floor of the distance is taken from."""

RESAMPLES = 24
DIRECTIONS = 64


class ExactLawBenchmark:
    """A law behind a process: its exact samples at t_min, where its flow ends, and the scores of any sampler."""

    def __init__(self, law: Law, sde: LinearSDE, count: int, seed: int) -> None:
        self.law, self.sde, self.count, self.seed = law, sde, count, seed
        self.target = law.through(sde.kernel(sde.t_min))
        generator = torch.Generator().manual_seed(seed)
        self.truth = self.target.sample(count, generator).flatten(1)
        exact = [_distance(self.target.sample(count, generator).flatten(1), self.truth) for _ in range(EXACT_SETS)]
        self.floors = np.quantile(exact, [0.025, 0.5, 0.975]).tolist()
        self.log_density = self.target.log_prob(self.target.sample(EXACT_DRAWS, generator)).mean().item()
        self.ends: Tensor | None = None

    @property
    def prior(self) -> GaussianPrior:
        """The law at the horizon that has the law's first two moments."""
        return self.sde.prior(self.law.mean, self.law.variance.mean().item())

    def flow_ends(self) -> Tensor:
        """Where the exact flow carries the first initial states, (FLOW_POINTS or fewer, *E); solved once."""
        if self.ends is None:
            flow = probability_flow(self.sde, ExactDenoiser(self.law), self.prior)
            numbers = torch.arange(min(FLOW_POINTS, self.count))
            spec = PathSpec(self.seed, numbers, tuple(self.law.event_shape), flow.start, flow.stop, torch.float64)
            start = initial_state(flow, spec)
            self.ends = flow_end_point(self.law, self.sde.kernel, start, flow.start, flow.stop, tol=FLOW_TOLERANCE)
        return self.ends

    def trial(self, recipe: Recipe) -> SamplerResult:
        """The sampler's cost and scores."""
        denoiser = CallCounter(ExactDenoiser(self.law))
        reversal, solver = recipe.build(self.sde, denoiser)
        start = time.perf_counter()
        x = sample(
            reversal.without_final_denoise().with_prior(self.prior), solver, (self.count, *self.law.event_shape), self.seed,
            noise=paths_for(solver), chunk=self.count, dtype=torch.float64,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        scores = self._scores(reversal, x)
        return SamplerResult(recipe.label, str(recipe), recipe.steps, denoiser.rows / self.count, seconds, scores)

    def _scores(self, reversal: Reversal, x: Tensor) -> list[Score]:
        flow = [] if reversal.equation.stochastic else [self._flow_error(x)]
        return [*flow, self._distance(x), self._gap(x)]

    def _flow_error(self, x: Tensor) -> Score:
        ends = self.flow_ends()
        error = bootstrap(_rms, (x[: len(ends)] - ends).flatten(1), resamples=RESAMPLES, seed=self.seed)
        return Score("error of the flow", error.value, max(error.low, 0.0), error.high)

    def _distance(self, x: Tensor) -> Score:
        found = bootstrap(_distance, x.flatten(1), self.truth, resamples=RESAMPLES, seed=self.seed)
        return Score("sliced W2", found.value, max(found.low, 0.0), found.high, self.floors[1])

    def _gap(self, x: Tensor) -> Score:
        values = self.target.log_prob(x)
        gap, reach = abs(values.mean().item() - self.log_density), 1.96 * values.std().item() / math.sqrt(len(values))
        return Score("log-density gap", gap, max(gap - reach, 0.0), gap + reach)

    def comparison(self, subject: str, trials: list[SamplerResult]) -> Comparison:
        """The trials with the floor of exact samples."""
        floors = {"sliced W2": (self.floors[0], self.floors[2])}
        return Comparison(subject, self.count, self.seed, trials, floors, f"exact samples (95% of {EXACT_SETS} sets)")


def _rms(errors: Tensor) -> float:
    return errors.square().mean().sqrt().item()


def _distance(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein(x, y, DIRECTIONS)
