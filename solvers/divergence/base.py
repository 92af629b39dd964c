r"""The divergence of a field F at x, the trace of its Jacobian J, in equally good estimates of it.

An estimator draws its probes once for each sample, a function of the seed and the sample's number alone, and returns
several estimates side by side, whose mean is the estimate. Integrated along a flow with the same probes, each column
is an unbiased estimate of the integral, and the spread of the columns says how far their mean may be off; drawn afresh
at every call, the noise would make the equation a stochastic one and step-size control blind.

References:
    Grathwohl et al., FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models, 2019,
        https://arxiv.org/abs/1810.01367, section 3.1 (one noise vector for a solve)
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

PointField = Callable[[Tensor], Tensor]
"""A field at a frozen time, (B, *E) -> (B, *E), each sample on its own."""


class Divergence(ABC):
    """A rule for the divergence of a field. `columns` is how many estimates it gives."""

    columns: int

    @abstractmethod
    def probes(self, x: Tensor, seed: int, indices: Tensor) -> Tensor:
        """The frozen probes (B, P, *E) of samples like x (B, *E) with the numbers `indices` int64 (B,); P may be 0."""

    @abstractmethod
    def along(self, field: PointField, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """(F(x), estimates of div F(x)): shapes (B, *E) and (B, columns)."""

    def cost(self, size: int) -> int:
        """Products with the Jacobian in one call, for samples of `size` numbers."""
        return self.columns


@cache
def _load_forward_rules() -> None:
    """The first forward derivative loads torch's rules, which warn about torch's own use of what it has deprecated."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))


def products(field: PointField, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """F(x), once, and J v or J^T v for directions v (B, P, *E): shapes (B, *E) and (B, P, *E). Traces see no difference.

    J v by forward differentiation where no gradient is recorded: it is cheaper and keeps no graph. J^T v by reverse
    differentiation where one is, for torch differentiates the forward derivative of its layer norm wrongly.
    """
    whole = x.contiguous()  # an expanded tensor cannot carry a tangent
    if torch.is_grad_enabled():
        pulled: Any = torch.func.vjp(field, whole)
        value, pull = pulled
        return value, torch.func.vmap(lambda v: pull(v)[0], in_dims=1, out_dims=1)(directions)

    _load_forward_rules()

    def push(v: Tensor) -> Any:
        return torch.func.jvp(field, (whole,), (v,))

    dims: Any = (None, 1)  # F(x) does not depend on v: it is computed once
    return torch.func.vmap(push, in_dims=1, out_dims=dims)(directions)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """<a_p, b_p> over the sample, (B, P, *E) -> (B, P)."""
    return (a * b).flatten(2).sum(2)
