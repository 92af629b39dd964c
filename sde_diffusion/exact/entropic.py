r"""The entropic plan of two sets of points, and its bridge.

With uniform weights and the cost c_ij = |x_i - y_j|^2/2 the plan is P_ij = exp((g_j - c_ij)/eps - z_i)/N, where
z_i = logsumexp_j((g_j - c_ij)/eps) makes its rows right, and g maximises the concave semi-dual

    mean_j g_j - eps mean_i z_i,   gradient 1/M - P^T 1,   Hessian -(diag(P^T 1) - N P^T P)/eps.                   (1)

It is maximised by damped Newton steps while eps falls to its value. Everything stays in logarithms, so that a small
eps loses no mass. Plain Sinkhorn is the ascent on (1) by coordinates, of a number of steps that grows like 1/eps.

The bridge of the plan is the mixture of its N M Brownian bridges:

    P(i, j | x_t = x) prop. P_ij exp(-|x - (1-t) x_i - t y_j|^2 / (2 eps t (1-t))),                                (2)

and E[x_0 | x_t], E[x_1 | x_t], drifts and flow are averages over (2): the law that a bridge model would memorise.

References:
    Cuturi, Sinkhorn Distances: Lightspeed Computation of Optimal Transport, 2013, https://arxiv.org/abs/1306.0895
    Cuturi & Peyre, Semidual Regularized Optimal Transport, 2018, https://arxiv.org/abs/1811.05527
    Peyre & Cuturi, Computational Optimal Transport, 2019, https://arxiv.org/abs/1803.00567, sections 4.4 and 4.6
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-9
"""The total variation to which the marginals of a plan are met."""

COARSE = 1e-2
"""The same on the way, where eps is still larger."""

FALL, MOST_STEPS = 0.25, 300
"""The ratio of one eps to the next one, and the largest number of Newton steps at each."""


def half_squared_distances(x0: Tensor, x1: Tensor) -> Tensor:
    """|x_i - y_j|^2/2, shape (N, M), in float64, for points (N, *E) and (M, *E)."""
    near, far = (x.detach().to(torch.float64).flatten(1) for x in (x0, x1))
    return torch.cdist(near, far, compute_mode="donot_use_mm_for_euclid_dist").square() / 2


def log_plan(cost: Tensor, eps: float, tolerance: float = TOLERANCE) -> Tensor:
    """log P, shape (N, M) float64: the entropic plan of uniform weights for any cost (N, M).

    Raises ValueError for a cost that is not finite, an eps that is not positive, and where a marginal is off by more than
    `tolerance` in total variation at the end.
    """
    if cost.ndim != 2 or not cost.numel() or not bool(cost.isfinite().all()):
        raise ValueError(f"expected a finite cost (N, M), got shape {tuple(cost.shape)}; look for NaN in the points")
    if not eps > 0:
        raise ValueError(f"expected a temperature eps > 0, got {eps}; eps = 0 is an assignment")
    if cost.shape[0] < cost.shape[1]:
        return log_plan(cost.mT, eps, tolerance).mT
    cost = cost.to(torch.float64)
    state = _State(cost.new_zeros(cost.shape[1]), cost, _first(cost, eps))
    while state.eps > eps:
        state = _newton(
            _State(state.g, cost, max(state.eps * FALL, eps)), tolerance if state.eps * FALL <= eps else COARSE
        )
    state = _newton(state, tolerance)
    if not state.error <= tolerance:
        raise ValueError(
            f"the plan at eps = {eps:g} misses its marginals by {state.error:.2g} in total variation, more than "
            f"{tolerance:.2g}; take a larger eps, fewer points, or an assignment"
        )
    return state.log_plan


class _State:
    """The plan of one g at one eps, and how far its second marginal is off."""

    def __init__(self, g: Tensor, cost: Tensor, eps: float) -> None:
        self.g, self.cost, self.eps = g, cost, eps
        logits = (g - cost) / eps
        z = logits.logsumexp(1, keepdim=True)
        self.log_plan = logits - z - math.log(len(cost))
        self.plan = self.log_plan.exp()
        self.columns = self.plan.sum(0)
        self.value = float(g.mean() - eps * z.mean())
        self.residual = 1 / len(g) - self.columns
        self.error = float(self.residual.abs().sum() / 2)


def _first(cost: Tensor, eps: float) -> float:
    return max(float(cost.max() - cost.min()), eps)


def _newton(state: _State, tolerance: float) -> _State:
    """Levenberg steps on equation (1): one that lowers the semi-dual is refused, and the next one is shorter."""
    damping = 1e-3 / len(state.g)
    for _ in range(MOST_STEPS):
        if state.error <= tolerance:
            break
        hessian = torch.diag(state.columns) - len(state.cost) * state.plan.mT @ state.plan
        hessian.diagonal().add_(damping)
        step = state.eps * torch.linalg.solve(hessian, state.residual)
        tried = _State(state.g + step, state.cost, state.eps)
        better = tried.value >= state.value - 1e-15 * abs(state.value)
        damping = max(damping / 10, 1e-13 / len(state.g)) if better else 8 * damping
        state = tried if better else state
    return state


@dataclass(frozen=True)
class PointBridge:
    """Equation (2): points (N, *E) and (M, *E), log P (N, M) of any plan, and eps > 0; times 0 < t < 1 are floats."""

    near: Tensor
    far: Tensor
    log_plan: Tensor
    eps: float

    @classmethod
    def of(cls, near: Tensor, far: Tensor, eps: float) -> PointBridge:
        """The bridge of the entropic plan. Raises what `log_plan` raises."""
        cost = half_squared_distances(near, far)
        return cls(near.to(torch.float64), far.to(torch.float64), log_plan(cost, eps), float(eps))

    def ends(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """(E[x_0 | x_t = x], E[x_1 | x_t = x]), each (B, *E)."""
        shares = self._shares(x.to(torch.float64).flatten(1), t)
        means = shares.sum(2) @ self.near.flatten(1), shares.sum(1) @ self.far.flatten(1)
        return tuple(mean.reshape(x.shape).to(x.dtype) for mean in means)  # pyright: ignore[reportReturnType]

    def drift(self, x: Tensor, t: float) -> Tensor:
        """(E[x_1 | x] - x)/(1 - t)."""
        return (self.ends(x, t)[1] - x) / (1 - t)

    def backward_drift(self, x: Tensor, t: float) -> Tensor:
        """(E[x_0 | x] - x)/t: of the process that runs from x_1 to x_0, per unit of time that it runs."""
        return (self.ends(x, t)[0] - x) / t

    def flow(self, x: Tensor, t: float) -> Tensor:
        """Half the difference of the drifts."""
        near, far = self.ends(x, t)
        return ((far - x) / (1 - t) - (near - x) / t) / 2

    def _shares(self, rows: Tensor, t: float) -> Tensor:
        if not 0 < t < 1:
            raise ValueError(f"the bridge of points has a density for 0 < t < 1, got t = {t}; stop short of the ends")
        centres = (1 - t) * self.near.flatten(1).unsqueeze(1) + t * self.far.flatten(1)
        squares = torch.cdist(rows, centres.flatten(0, 1), compute_mode="donot_use_mm_for_euclid_dist").square()
        logits = self.log_plan.flatten() - squares / (2 * self.eps * t * (1 - t))
        return logits.softmax(1).reshape(len(rows), *self.log_plan.shape)
