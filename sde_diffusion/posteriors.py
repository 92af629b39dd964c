"""Posteriors of a model: samples given an observation, or a stronger condition, by weighted particles.

    found = model.posterior(Mask(x[seen], seen, 0.05), 64, nfe=50)
    found.x, found.log_evidence, found.ess
    model.corrected(3.0, 64, label=7).x

Both are methods of a `DiffusionModel`, and take and give the units of its data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from sde_diffusion.guidance.corrected import CorrectedGuidance
from sde_diffusion.guidance.twisted import TwistedWeighting
from sde_diffusion.guidance.twists import MomentMatching, Point, PseudoInverse, Scalar, Twist
from sde_diffusion.observations import LinearMeasurement, Measurement, Observation, Projection
from sde_diffusion.sampling import named
from sde_diffusion.sampling.particles import WeightedSamples, default_weighted_sampler, sample_weighted
from sde_diffusion.sampling.sampler import Sampler
from solvers.particles import Weighting

MOST_MATCHED = 32
"""Up to so many numbers seen, the covariance of what is seen is matched: a product of the derivative for each."""

FEWEST = 50
"""Calls below which corrected guidance may be worse than its ramp alone, as at 20 in `python -m benchmarks.guidance`."""


def default_twist(observation: Observation) -> Twist:
    """`Scalar` for a projection, `MomentMatching` up to MOST_MATCHED numbers, `PseudoInverse` beyond, `Point` for other laws."""
    if isinstance(observation, Projection):
        return Scalar(observation)
    if isinstance(observation, LinearMeasurement) and observation.y.numel() > MOST_MATCHED:
        return PseudoInverse(observation)
    return MomentMatching(observation) if isinstance(observation, Measurement) else Point(observation)


def posterior(
    model: Any,
    observation: Observation,
    n: int,
    *,
    nfe: int | None = None,
    particles: int = 16,
    twist: Callable[[Any], Twist] = default_twist,
    sampler: Sampler | str | None = None,
    seed: int = 0,
    first: int = 0,
    chunk: int | None = None,
    **condition: Any,
) -> WeightedSamples:
    """n samples of p(x | y), with an estimate of log p(y).

    The law is that of the model's samples times p(y | x), whatever the twist, as `particles` grows; samples of a set are not
    independent, see `ancestors`.

    Args:
        observation: what was seen, in the units of the data.
        nfe: calls of the network for each sample, 50 unless given.
        particles: of a set.
        twist: makes the proposal of the observation in the model's coordinates, such as `PseudoInverse`.
        sampler: a stochastic one of one call a step, or its name; `default_weighted_sampler` unless given.
        seed, first, chunk: see `sample_weighted`.
        condition: as for `sample`, one for all samples.

    Raises TypeError for an observation that is none, TypeError or ValueError as `sample_weighted` does.
    """
    if not isinstance(observation, Observation):
        raise TypeError(
            f"a posterior is given an observation, got {type(observation).__name__}; write Mask(x[seen], seen, 0.05)"
        )
    standard = model.standardization
    twisted = twist(observation.in_coordinates(standard.shift, standard.scale))
    weighting = TwistedWeighting(model.denoiser, twisted, model.condition(1, condition))
    return _sampled(model, weighting, n, sampler, nfe, particles, seed=seed, first=first, chunk=chunk)


def corrected(
    model: Any,
    weight: float,
    n: int,
    *,
    nfe: int | None = 100,
    particles: int = 32,
    sampler: Sampler | str | None = None,
    seed: int = 0,
    first: int = 0,
    chunk: int | None = None,
    **condition: Any,
) -> WeightedSamples:
    """n samples of p(x | c) p(c | x)^(weight - 1), which guidance of that weight is meant to draw; c is the condition.

    `log_evidence` is that of the tilt: the log of the integral of p(x | c)^weight p(x)^(1 - weight). Sets are small, for the
    weights have no bound; below about 50 calls they cost more than they mend, which a warning says. The arguments are those
    of `posterior`.

    Raises ValueError for a model without a condition or trained without its null.
    """
    if model.condition_columns is not None:
        model.condition_columns.refuse_none()
    if nfe is not None and nfe < FEWEST:
        warnings.warn(
            f"with {nfe} calls the weights of corrected guidance cost more than they mend; give nfe=100, or write "
            f'model.guided("ramped_cfg(weight={weight:g})").sample(...)',
            stacklevel=2,
        )
    weighting = CorrectedGuidance(model.denoiser, weight, model.condition(1, condition))
    return _sampled(model, weighting, n, sampler, nfe, particles, seed=seed, first=first, chunk=chunk)


def _sampled(
    model: Any, weighting: Weighting, n: int, sampler: Any, nfe: int | None, particles: int, **where: Any
) -> WeightedSamples:
    model._warn_if_untrained()
    chosen = named.parse(sampler) if isinstance(sampler, str) else sampler or default_weighted_sampler()

    def build(oracle: Any) -> Any:
        reversal, solver = chosen.build(model.sde, oracle, nfe=nfe, data_std=model.std)
        return reversal.with_prior(model.prior), solver

    shape, dtype = (n, *model.event_shape), model.state_dtype
    found = sample_weighted(build, weighting, shape, particles=particles, dtype=dtype, device=model.device, **where)
    _warn_if_alone(found.ess, particles)
    return replace(found, x=model.standardization.from_standard(found.x))


def _warn_if_alone(ess: Tensor, particles: int) -> None:
    """Warns where in half of the sets the weights came to rest on fewer than two particles: such sets are biased."""
    effective = particles * ess.median().item()
    if effective < 2:
        warnings.warn(
            f"in half of the sets {effective:.1f} of {particles} particles carried all the weight: these samples are not of the "
            "law that was asked for; give more particles or a larger nfe, or less to ask (a larger std, a lower weight)",
            stacklevel=4,
        )
