r"""A linear process between two points: the law of x_t given x_0 and x_T, which is `LinearSDE.posterior` from the horizon T.

With l = log(alpha^2/sigma^2) and the part q = 1 - e^{l_T - l_t} forgotten after t,

    a = alpha q,   b = alpha_T sigma^2/(alpha sigma_T^2),   c = sigma sqrt(q),                                    (1)
    a' = f a - (alpha_T/sigma_T)^2 g^2/alpha,   b' = (alpha_T/sigma_T^2)(f sigma^2 + g^2)/alpha,
    c'/c = f + g^2 (2q - 1)/(2 q sigma^2),                                                                        (2)

for q' = -(1-q) g^2/sigma^2 and (sigma^2)' = 2 f sigma^2 + g^2. Brownian motion gives the Brownian bridge and I2SB, VE and VP
the bridges of DDBM. A mixture of pinned processes is run forwards and backwards by (`reversal.half_bridge`)

    forward   dx = (f x + g^2 h) dt + g dW,   h = (alpha_T/alpha) (x1_hat - alpha_T/alpha x)/(sigma_T^2 q),         (3)
    backward  the reverse SDE of the process itself, with x0_hat under the mixture in Tweedie's formula.            (4)

References:
    Liu et al., I2SB: Image-to-Image Schroedinger Bridge, 2023, https://arxiv.org/abs/2302.05872, proposition 3.3
    Zhou et al., Denoising Diffusion Bridge Models, 2023, https://arxiv.org/abs/2309.16948, equation (8)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.junction import Junction, Rates
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.bridge import Bridge
from solvers.elementary import expm1, sqrt
from solvers.elementwise import Coefficient, axpy, combine


@dataclass(frozen=True)
class Pinned(Bridge):
    """Equation (1) for a linear process whose x at t = 0 is the data itself.

    Raises TypeError for anything but a `LinearSDE`, ValueError for a process that starts with noise.
    """

    sde: LinearSDE

    def __post_init__(self) -> None:
        if not isinstance(self.sde, LinearSDE):
            kind = type(self.sde).__name__
            raise TypeError(f"Pinned takes a linear process, got {kind}; write Pinned(sde_diffusion.sde.Brownian(1.0))")
        if not (abs(float(self.sde.alpha(0.0)) - 1) < 1e-12 and float(self.sde.sigma(0.0)) < 1e-12):
            raise ValueError(
                f"{type(self.sde).__name__} has noise {float(self.sde.sigma(0.0)):.3g} at t = 0, so that it does not begin "
                "at a point; take Brownian, VP or EDM"
            )

    @property
    def horizon(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The process's."""
        return self.sde.horizon

    @property
    def noisy(self) -> bool:
        """Always."""
        return True

    def junction(self, t: Coefficient) -> Junction:
        """Equation (1)."""
        t = self.sde.exact_time(self.check_time(t))
        alpha, sigma, q = self.sde.alpha(t), self.sde.sigma(t), self.forgotten(t)
        end = self.sde.kernel(self.horizon)
        return Junction(alpha * q, end.alpha / end.sigma**2 * sigma**2 / alpha, sigma * sqrt(q))

    def rates(self, t: Coefficient) -> Rates:
        """Equation (2)."""
        t = self.sde.exact_time(t)
        alpha, variance, q = self.sde.alpha(t), self.sde.sigma(t) ** 2, self.forgotten(t)
        f, g2 = self.sde.f(t), self.sde.g(t) ** 2
        end = self.sde.kernel(self.horizon)
        gain = end.alpha / end.sigma**2
        return Rates(
            f * alpha * q - gain * end.alpha * g2 / alpha,
            gain * (f * variance + g2) / alpha,
            f + g2 * (2 * q - 1) / (2 * q * variance),
        )

    def forgotten(self, t: Coefficient) -> Coefficient:
        """q, 0 where rounding has passed the horizon."""
        q = -expm1(self.sde.log_snr(self.horizon) - self.sde.log_snr(t))
        return q.clamp(min=0.0) if isinstance(q, Tensor) else max(0.0, q)

    def forward_drift(self, x: Tensor, x1: Tensor, t: Coefficient) -> Tensor:
        """Equation (3) at x_t = x, for x1_hat or a known x_1 (B, *E)."""
        t = self.sde.exact_time(t)
        end = self.sde.kernel(self.horizon)
        kept = end.alpha / self.sde.alpha(t)
        pull = kept * self.sde.g(t) ** 2 / (end.sigma**2 * self.forgotten(t))
        return axpy(self.sde.drift(x, t), 1.0, combine(pull, x1, -pull * kept, x))
