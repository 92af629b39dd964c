r"""The kernel of a process with two ends, x_t = a x_0 + b x_1 + c z with z ~ N(0, I), and all of its algebra.

With x0_hat = E[x_0 | x_t], x1_hat = E[x_1 | x_t] and the derivatives a', b', c' in time, whatever the joint law of (x_0, x_1),

    noise      z_hat = (x_t - a x0_hat - b x1_hat)/c                                                               (1)
    score      grad log p_t(x_t) = -z_hat/c                                                                        (2)
    velocity   v = a' x0_hat + b' x1_hat + c' z_hat,   dx/dt = v has the marginals of x_t                          (3)

c = 0 is the `Kernel`(a, b) with x_1 in the place of the noise. Where x_1 is known, x_t - b x_1 is behind the kernel (a, c).

References:
    Albergo, Boffi & Vanden-Eijnden, Stochastic Interpolants, 2023, https://arxiv.org/abs/2303.08797, section 2
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.kernel import Kernel
from solvers.elementwise import Coefficient, axpy, combine, scale


@dataclass(frozen=True)
class Junction:
    """x_t | x_0, x_1 ~ N(a x_0 + b x_1, c^2 I): floats, or float64 tensors of shape () or (B,)."""

    a: Coefficient
    b: Coefficient
    c: Coefficient

    def mean(self, x0: Tensor, x1: Tensor) -> Tensor:
        """a x_0 + b x_1, shape (B, *E)."""
        return combine(self.a, x0, self.b, x1)

    def perturb(self, x0: Tensor, x1: Tensor, noise: Tensor) -> Tensor:
        """a x_0 + b x_1 + c z, shape (B, *E)."""
        return axpy(self.mean(x0, x1), self.c, noise)

    def noise(self, x_t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        """Equation (1); c > 0."""
        return scale(1 / self.c, x_t - self.mean(x0, x1))

    def score(self, x_t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        """Equation (2); c > 0."""
        return scale(-1 / self.c**2, x_t - self.mean(x0, x1))

    def far(self, x_t: Tensor, x0: Tensor) -> Tensor:
        """The x_1 of x_t and x_0 for c = 0: (x_t - a x_0)/b."""
        return combine(1 / self.b, x_t, -self.a / self.b, x0)

    def given_far(self) -> Kernel:
        """The kernel (a, c) of the residual x_t - b x_1, for a known x_1."""
        return Kernel(self.a, self.c)


@dataclass(frozen=True)
class Rates:
    """The derivatives of a junction in time: a', b', and the relative rate c'/c, which is 0 for a c that is 0 at all times."""

    a: Coefficient
    b: Coefficient
    relative_c: Coefficient

    def velocity(self, junction: Junction, x_t: Tensor, x0: Tensor, x1: Tensor) -> Tensor:
        """Equation (3), shape (B, *E)."""
        moved = combine(self.a, x0, self.b, x1)
        return axpy(moved, self.relative_c, x_t - junction.mean(x0, x1))
