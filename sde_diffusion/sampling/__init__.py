"""Sampling: from the prior to samples. Samplers by the field's names, the default rules, and the solvers they are made of."""

from sde_diffusion.sampling import named as samplers
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sampling.default_sde import default_stochastic_solver
from sde_diffusion.sampling.particles import WeightedSamples, default_weighted_sampler, sample_weighted
from sde_diffusion.sampling.sample import initial_state, sample, sample_chunks
from sde_diffusion.sampling.sampler import Sampler
from solvers import (
    AdamsBashforth,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialEuler,
    FixedGrid,
    Heun,
    KeyedIncrements,
    StochasticHeun,
    WienerTree,
)
from solvers.adaptive import Adaptive

__all__ = [
    "AdamsBashforth",
    "Adaptive",
    "Euler",
    "EulerMaruyama",
    "ExponentialAdams",
    "ExponentialEuler",
    "FixedGrid",
    "Heun",
    "KeyedIncrements",
    "Sampler",
    "StochasticHeun",
    "WeightedSamples",
    "WienerTree",
    "default_solver",
    "default_stochastic_solver",
    "default_weighted_sampler",
    "initial_state",
    "sample",
    "sample_chunks",
    "sample_weighted",
    "samplers",
]
