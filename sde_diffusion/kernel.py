r"""The Gaussian kernel x_t = alpha x_0 + sigma eps, eps ~ N(0, I), and all of its algebra.

Everything a diffusion model knows about a noise level is the pair (alpha, sigma). With x0_hat = E[x_0 | x_t]:

    score     s = (alpha x0_hat - x_t) / sigma^2            Tweedie's formula                                  (1)
    noise     eps_hat = (x_t - alpha x0_hat) / sigma        = -sigma s                                         (2)
    velocity  v = (alpha eps_hat - sigma x0_hat) / r,  r = sqrt(alpha^2 + sigma^2)                             (3)
    flow      u = eps_hat - x0_hat                                                                             (4)

For alpha^2 + sigma^2 = 1, (3) is the v-prediction of Salimans & Ho; (4) is the velocity of rectified flow.

References:
    Efron, Tweedie's Formula and Selection Bias, 2011, https://doi.org/10.1198/jasa.2011.tm11181
    Salimans & Ho, Progressive Distillation for Fast Sampling of Diffusion Models, 2022,
        https://arxiv.org/abs/2202.00512, appendix D
    Liu et al., Flow Straight and Fast, 2022, https://arxiv.org/abs/2209.03003
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from solvers.elementary import log, sqrt
from solvers.elementwise import Coefficient, along, axpy, combine, scale


@dataclass(frozen=True)
class Kernel:
    """The distribution x_t | x_0 ~ N(alpha x_0, sigma^2 I).

    `alpha` and `sigma` are floats (one level for the whole batch), or float64 tensors of shape () or (B,).
    """

    alpha: Coefficient
    sigma: Coefficient

    @property
    def log_snr(self) -> Coefficient:
        """log(alpha^2 / sigma^2), in nats."""
        return 2 * (log(self.alpha) - log(self.sigma))

    @property
    def scale(self) -> Coefficient:
        """r = sqrt(alpha^2 + sigma^2): the standard deviation of x_t for data of unit variance."""
        return sqrt(self.alpha**2 + self.sigma**2)

    def mean(self, x0: Tensor) -> Tensor:
        """E[x_t | x_0], shape (B, *E)."""
        return scale(self.alpha, x0)

    def perturb(self, x0: Tensor, noise: Tensor) -> Tensor:
        """x_t = alpha x_0 + sigma noise, shape (B, *E)."""
        return combine(self.alpha, x0, self.sigma, noise)

    def score(self, x_t: Tensor, x0: Tensor) -> Tensor:
        """Equation (1): the conditional score given x_0, or the marginal one given E[x_0 | x_t]."""
        return combine(-1 / self.sigma**2, x_t, self.alpha / self.sigma**2, x0)

    def noise(self, x_t: Tensor, x0: Tensor) -> Tensor:
        """Equation (2)."""
        return combine(1 / self.sigma, x_t, -self.alpha / self.sigma, x0)

    def velocity(self, x_t: Tensor, x0: Tensor) -> Tensor:
        """Equation (3), written without eps_hat: v = (alpha x_t - r^2 x0_hat) / (sigma r)."""
        r = self.scale
        return combine(self.alpha / (self.sigma * r), x_t, -r / self.sigma, x0)

    def flow(self, x_t: Tensor, x0: Tensor) -> Tensor:
        """Equation (4)."""
        return axpy(scale(1 / self.sigma, x_t), -1 - self.alpha / self.sigma, x0)

    def data_from_score(self, x_t: Tensor, score: Tensor) -> Tensor:
        """Inverse of (1): x0_hat = (x_t + sigma^2 s) / alpha."""
        return combine(1 / self.alpha, x_t, self.sigma**2 / self.alpha, score)

    def data_from_noise(self, x_t: Tensor, noise: Tensor) -> Tensor:
        """Inverse of (2): x0_hat = (x_t - sigma eps_hat) / alpha."""
        return combine(1 / self.alpha, x_t, -self.sigma / self.alpha, noise)

    def data_from_velocity(self, x_t: Tensor, velocity: Tensor) -> Tensor:
        """Inverse of (3): x0_hat = (alpha x_t - sigma r v) / r^2."""
        r = self.scale
        return combine(self.alpha / r**2, x_t, -self.sigma / r, velocity)

    def data_from_flow(self, x_t: Tensor, flow: Tensor) -> Tensor:
        """Inverse of (4): x0_hat = (x_t - sigma u) / (alpha + sigma)."""
        total = self.alpha + self.sigma
        return combine(1 / total, x_t, -self.sigma / total, flow)

    def over(self, x: Tensor) -> tuple[Coefficient, Coefficient]:
        """(alpha, sigma) shaped to multiply x of shape (B, *E)."""
        return along(self.alpha, x), along(self.sigma, x)
