"""What the raw output of a network means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.kernel import Kernel
from solvers.elementary import sqrt
from solvers.elementwise import Coefficient, constant, scale


@dataclass(frozen=True)
class Parameterization(ABC):
    """The target of the raw output and the way back to E[x_0 | x_t], for every channel; to_denoised(target) = x_0.

    `data_std` is the standard deviation of one coordinate of the data: the network's input is brought to unit variance.
    """

    data_std: float = 1.0

    def __post_init__(self):
        """Raises ValueError unless data_std > 0."""
        if not self.data_std > 0:
            raise ValueError(f"data_std must be positive, got {self.data_std}; measure it on the data")

    @abstractmethod
    def target(self, x0: Tensor, noise: Tensor, kernel: Kernel) -> Tensor:
        """What the raw output should be, shape (B, *E), when x_t = alpha x0 + sigma noise."""

    @abstractmethod
    def to_denoised(self, raw: Tensor, x_t: Tensor, kernel: Kernel) -> Tensor:
        """x0_hat, shape (B, *E), from the raw output."""

    def precondition(self, x_t: Tensor, kernel: Kernel) -> Tensor:
        """The network's input: x_t over its standard deviation sqrt(alpha^2 data_std^2 + sigma^2)."""
        return scale(1 / self.spread(kernel), x_t)

    def level(self, x_t: Tensor, kernel: Kernel) -> Tensor:
        """The network's time (B,): log(sigma/alpha) = -log_snr/2, in x_t's dtype; all that scaling x_t leaves of a kernel."""
        return constant(-0.5 * kernel.log_snr, x_t.dtype, x_t.device).expand(x_t.shape[0])

    def spread(self, kernel: Kernel) -> Coefficient:
        """The standard deviation of a coordinate of x_t."""
        return sqrt((kernel.alpha * self.data_std) ** 2 + kernel.sigma**2)
