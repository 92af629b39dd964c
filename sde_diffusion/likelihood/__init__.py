"""What a model knows: log-probabilities with error bars, bounds, bits per dimension, codes."""

from sde_diffusion.likelihood.bounds import elbo, importance_weighted
from sde_diffusion.likelihood.continuous import continuous_bound
from sde_diffusion.likelihood.dequantisation import Uniform, Variational, fit_dequantisation, quantised
from sde_diffusion.likelihood.exact import log_likelihood
from sde_diffusion.likelihood.flow import decode, encode, flow_log_prob, interpolate, upwards
from sde_diffusion.likelihood.log_prob import LogProb
from sde_diffusion.likelihood.paths import Chain, forward_variance, posterior_variance
from sde_diffusion.likelihood.reconstruction import Levels, gaussian

__all__ = [
    "Chain",
    "Levels",
    "LogProb",
    "Uniform",
    "Variational",
    "continuous_bound",
    "decode",
    "elbo",
    "encode",
    "fit_dequantisation",
    "flow_log_prob",
    "forward_variance",
    "gaussian",
    "importance_weighted",
    "interpolate",
    "log_likelihood",
    "posterior_variance",
    "quantised",
    "upwards",
]
