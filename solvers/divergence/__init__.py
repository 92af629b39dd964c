"""The divergence of a vector field: exactly, or by probes that are drawn once and kept for a whole solve."""

from solvers.divergence.base import Divergence
from solvers.divergence.exact import ExactTrace
from solvers.divergence.hutch_plus_plus import HutchPlusPlus
from solvers.divergence.hutchinson import Hutchinson
from solvers.divergence.probes import gaussian, rademacher, sphere
from solvers.divergence.xtrace import XTrace

__all__ = ["Divergence", "ExactTrace", "HutchPlusPlus", "Hutchinson", "XTrace", "gaussian", "rademacher", "sphere"]
