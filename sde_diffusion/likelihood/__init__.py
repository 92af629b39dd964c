"""What a model knows: log-probabilities with error bars, bounds, bits per dimension, codes."""

from sde_diffusion.likelihood.exact import log_likelihood
from sde_diffusion.likelihood.flow import decode, encode, flow_log_prob, interpolate, upwards
from sde_diffusion.likelihood.log_prob import LogProb

__all__ = ["LogProb", "decode", "encode", "flow_log_prob", "interpolate", "log_likelihood", "upwards"]
