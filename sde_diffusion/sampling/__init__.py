"""Sampling: from the prior to samples, and the default solvers of the flow and of the reverse SDE."""

from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sampling.default_sde import default_stochastic_solver
from sde_diffusion.sampling.sample import initial_state, sample, sample_chunks

__all__ = ["default_solver", "default_stochastic_solver", "initial_state", "sample", "sample_chunks"]
