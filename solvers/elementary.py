"""Elementary functions of a time that is a Python float or a tensor: a process writes its schedule once.

A float stays a float (no tensor is made, about 0.1 us a call); a tensor keeps its autograd graph, so that forward-mode
differentiation checks every schedule against its own drift and diffusion.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from solvers.elementwise import Coefficient


def _lift(name: str) -> Callable[[Coefficient], Coefficient]:
    on_float, on_tensor = getattr(math, name), getattr(torch, name)

    def apply(t: Coefficient) -> Coefficient:
        return on_tensor(t) if isinstance(t, Tensor) else on_float(t)

    apply.__name__ = name
    apply.__doc__ = f"{name}(t) for a float or a tensor."
    return apply


exp, expm1, sqrt = _lift("exp"), _lift("expm1"), _lift("sqrt")
sin, cos, tan = _lift("sin"), _lift("cos"), _lift("tan")
atan, asinh = _lift("atan"), _lift("asinh")


def log(t: Coefficient) -> Coefficient:
    """log(t) for a float or a tensor; log(0) = -inf in both."""
    if isinstance(t, Tensor):
        return t.log()
    return math.log(t) if t > 0 else (-math.inf if t == 0 else math.nan)


def softplus(t: Coefficient) -> Coefficient:
    """log(1 + exp(t)) without overflow."""
    if isinstance(t, Tensor):
        return torch.logaddexp(t, torch.zeros_like(t))
    return max(t, 0.0) + math.log1p(math.exp(-abs(t)))


def log1mexp(t: Coefficient) -> Coefficient:
    """log(1 - exp(t)) for t <= 0, accurate at both ends."""
    return log(-expm1(t))
