r"""The bridge of a plan that is known exactly: Brownian bridges between its pairs, x_t = (1-t) x_0 + t x_1 + sqrt(eps t (1-t)) z.

Given the component k of a mixture plan, (x_0, x_1, x_t) is Gaussian: with the means m0, m1, covariances S0, S1 and
C = Cov(x_0, x_1) of the component, m_t = (1-t) m0 + t m1 and, at time t,

    H = (1-t)^2 S0 + t^2 S1 + t(1-t) (C + C^T + eps I),                                                            (1)
    G = t S1 + (1-t) C^T - (1-t) S0 - t C - eps t I,                                                               (2)

every expectation is sum_k P(k | x) (o_k + L_k H_k^{-1} (x - m_t)), with

    forward drift   E[x_1 - x | x_t = x]/(1-t)   o = m1 - m0,   L = G                                              (3)
    backward drift  E[x_0 - x | x_t = x]/t       o = m0 - m1,   L = -(G + eps I)                                   (4)
    flow            (forward - backward)/2       o = m1 - m0,   L = G + eps/2 I                                    (5)
    score                                        o = 0,         L = -I.                                            (6)

No term divides by t or 1 - t. dx = forward dt + sqrt(eps) dW from x_0 has the marginals of x_t, and the pairs of the plan
where the plan is entropic: the Markovian projection of the bridge. For a Gaussian plan its pairs have
Cov(x_0, x_1) = S0 Phi(1)^T with Phi' = G H^{-1} Phi, Phi(0) = I: one round of iterative Markovian fitting.            (7)

References:
    Shi et al., Diffusion Schroedinger Bridge Matching, 2023, https://arxiv.org/abs/2303.16852, section 3
    Peluchetti, Diffusion Bridge Mixture Transports, Schroedinger Bridge Problems and Generative Modeling, 2023,
        https://arxiv.org/abs/2304.00917
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.exact.law import Law
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.plans import components, joint
from sde_diffusion.junction import Junction

ROUND_TOLERANCE = 1e-13
"""The relative tolerance of equation (7)."""


class PlanMoments:
    """A Gaussian or mixture plan of pairs (2, *E), and its expectations behind any junction x_t = a x_0 + b x_1 + c z.

    Raises TypeError for another kind of law, ValueError for events that are no pairs.
    """

    def __init__(self, plan: Law) -> None:
        weights, means, covariances = components(plan)
        if not plan.event_shape or plan.event_shape[0] != 2:
            raise ValueError(f"a plan has events of shape (2, *E), got {tuple(plan.event_shape)}; stack x_0 and x_1")
        self.plan, self.event_shape = plan, plan.event_shape[1:]
        d = self.event_shape.numel()
        self.weights, self.near_mean, self.far_mean = weights, means[:, :d], means[:, d:]
        self.near, self.cross, self.far = covariances[:, :d, :d], covariances[:, :d, d:], covariances[:, d:, d:]

    def marginal(self, junction: Junction) -> Mixture:
        """The law of x_t, for one level."""
        means = (float(junction.a) * self.near_mean + float(junction.b) * self.far_mean).reshape(-1, *self.event_shape)
        return Mixture(self.weights, means, self.covariances(junction))

    def covariances(self, junction: Junction) -> Tensor:
        """The covariances of the components of x_t, shape (K, d, d), for one level."""
        a, b, c = float(junction.a), float(junction.b), float(junction.c)
        noise = c**2 * torch.eye(self.near.shape[-1], dtype=self.near.dtype)
        h = a**2 * self.near + b**2 * self.far + a * b * (self.cross + self.cross.mT) + noise
        return (h + h.mT) / 2

    def near_end(self, x_t: Tensor, junction: Junction) -> Tensor:
        """E[x_0 | x_t], (B, *E), for one level."""
        gains = float(junction.a) * self.near + float(junction.b) * self.cross
        return expectation(self.marginal(junction), x_t, self.near_mean, gains)

    def far_end(self, x_t: Tensor, junction: Junction) -> Tensor:
        """E[x_1 | x_t], (B, *E), for one level."""
        gains = float(junction.a) * self.cross.mT + float(junction.b) * self.far
        return expectation(self.marginal(junction), x_t, self.far_mean, gains)

    def ends(self, x_t: Tensor, junction: Junction) -> tuple[Tensor, Tensor]:
        """Both."""
        return self.near_end(x_t, junction), self.far_end(x_t, junction)


class PlanBridge:
    """The Brownian bridge of temperature eps >= 0 over a Gaussian or mixture plan; times t in [0, 1] are floats.

    Attributes: `plan`, the law of the pairs (2, *E); `eps`; `event_shape`, E. Everything is float64.
    """

    def __init__(self, plan: Law, eps: float) -> None:
        if not 0 <= eps < float("inf"):
            raise ValueError(f"expected a temperature eps >= 0, got {eps}; eps = 0 is the straight line")
        self.moments, self.plan, self.eps = PlanMoments(plan), plan, float(eps)
        self.event_shape = self.moments.event_shape

    def junction(self, t: float) -> Junction:
        """(1-t, t, sqrt(eps t (1-t))). Raises ValueError for a time outside [0, 1]."""
        if not 0 <= t <= 1:
            raise ValueError(f"a bridge runs from 0 to 1, got t = {t}; divide the time by the horizon")
        return Junction(1 - t, t, (self.eps * t * (1 - t)) ** 0.5)

    def marginal(self, t: float) -> Mixture:
        """The law of x_t: equation (1)."""
        return self.moments.marginal(self.junction(t))

    def ends(self, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """(E[x_0 | x_t = x], E[x_1 | x_t = x]), each (B, *E)."""
        return self.moments.ends(x, self.junction(t))

    def drift(self, x: Tensor, t: float) -> Tensor:
        """Equation (3), shape (B, *E)."""
        return self._expect(x, t, 1.0, 1.0, 0.0)

    def backward_drift(self, x: Tensor, t: float) -> Tensor:
        """Equation (4): the drift of the process that runs from x_1 to x_0, per unit of time that it runs."""
        return self._expect(x, t, -1.0, -1.0, -self.eps)

    def flow(self, x: Tensor, t: float) -> Tensor:
        """Equation (5): dx/dt of the ODE with the same marginals."""
        return self._expect(x, t, 1.0, 1.0, self.eps / 2)

    def score(self, x: Tensor, t: float) -> Tensor:
        """Equation (6)."""
        return self._expect(x, t, 0.0, 0.0, -1.0)

    def next_round(self) -> PlanBridge:
        """The bridge of the pairs of the Markovian projection, equation (7). Raises ValueError unless the plan is Gaussian."""
        if not isinstance(self.plan, Gaussian):
            raise ValueError(f"a round is in closed form for a Gaussian plan, got {type(self.plan).__name__}; give one")
        near, far = (
            Gaussian(mean.reshape(self.event_shape), covariance)
            for mean, covariance in zip(self.plan.mean, (self.moments.near[0], self.moments.far[0]), strict=True)
        )
        return PlanBridge(joint(near, far, self.moments.near[0] @ self._propagator().mT), self.eps)

    def _gain(self, t: float) -> Tensor:
        """G of equation (2), shape (K, d, d)."""
        at, eye = self.moments, torch.eye(self.event_shape.numel(), dtype=self.moments.near.dtype)
        return t * at.far + (1 - t) * at.cross.mT - (1 - t) * at.near - t * at.cross - self.eps * t * eye

    def _expect(self, x: Tensor, t: float, way: float, of_gain: float, of_identity: float) -> Tensor:
        offsets = way * (self.moments.far_mean - self.moments.near_mean)
        eye = torch.eye(self.event_shape.numel(), dtype=offsets.dtype)
        return expectation(self.marginal(t), x, offsets, of_gain * self._gain(t) + of_identity * eye)

    def _propagator(self) -> Tensor:
        """Phi(1) of equation (7), by DOP853."""
        from scipy.integrate import solve_ivp

        d = self.event_shape.numel()

        def slope(t: float, phi: np.ndarray) -> np.ndarray:
            h = self.moments.covariances(self.junction(t))[0].numpy()
            return (self._gain(t)[0].numpy() @ np.linalg.solve(h, phi.reshape(d, d))).reshape(-1)

        found = solve_ivp(slope, (0, 1), np.eye(d).reshape(-1), "DOP853", rtol=ROUND_TOLERANCE, atol=ROUND_TOLERANCE)
        return torch.from_numpy(found.y[:, -1].reshape(d, d))


def expectation(marginal: Mixture, x: Tensor, offsets: Tensor, gains: Tensor) -> Tensor:
    """sum_k P(k | x) (o_k + L_k H_k^{-1} (x - m_k)), shape (B, *E), for o (K, d), L (K, d, d) and the law of x."""
    shares = marginal.responsibilities(x)
    rows = x.reshape(len(x), -1).to(offsets.dtype)
    spread = components(marginal)[2]
    linear = torch.linalg.solve(spread, gains.mT).mT
    found = shares @ offsets
    for share, centre, matrix in zip(shares.unbind(1), marginal.centres, linear, strict=True):
        found = found + share.unsqueeze(1) * ((rows - centre) @ matrix.mT)
    return found.reshape(x.shape).to(x.dtype)
