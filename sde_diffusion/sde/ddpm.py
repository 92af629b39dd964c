r"""The discrete chain of DDPM, and the continuous process that passes through it.

The chain x_i = sqrt(1 - beta_i) x_{i-1} + sqrt(beta_i) eps, i = 1..N, has alpha_bar_i = prod (1 - beta_j) and
x_i | x_0 ~ N(sqrt(alpha_bar_i) x_0, (1 - alpha_bar_i) I). Put t = horizon i/N and let B(t) = -log(alpha_bar) be linear
between the nodes: the variance-preserving process with the piecewise constant rate beta(t) = B'(t) meets the chain at
every node exactly, so every solver and every reversal serves the chain too.

References:
    Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239
    Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, https://arxiv.org/abs/2102.09672
    Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed, 2023, https://arxiv.org/abs/2305.08891,
        algorithm 1 (zero terminal SNR)
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import (
    exp,
    expm1,
    softplus,
    sqrt,
)
from solvers.elementwise import Coefficient, combine

ALMOST_NOTHING = 2.0**-24
"""alpha_bar at the end of a chain of zero terminal SNR, the value of diffusers' schedulers: x/alpha is a number there."""


@dataclass(frozen=True)
class DDPM(LinearSDE):
    """The chain of a table of betas (each in (0, 1)), as a process on [0, horizon]; step i is at t = i horizon/N.

    The default is the linear table of the paper, 1e-4 to 0.02 in 1000 steps. At t = 0, x is the data itself; sampling
    ends at the first node.
    """

    betas: Sequence[float] = tuple(1e-4 + (0.02 - 1e-4) * i / 999 for i in range(1000))
    horizon: float = 1.0

    def __post_init__(self):
        """Raises ValueError unless every beta lies in (0, 1)."""
        object.__setattr__(self, "betas", tuple(float(b) for b in self.betas))
        if not self.betas or not all(0 < b < 1 for b in self.betas):
            raise ValueError("a table of betas needs at least one value, each in (0, 1); clip it, as at 0.999")

    @classmethod
    def cosine(cls, steps: int = 1000, offset: float = 0.008, clip: float = 0.999) -> DDPM:
        """The cosine table of Nichol & Dhariwal, equation (17)."""
        bar = [math.cos((i / steps + offset) / (1 + offset) * math.pi / 2) ** 2 for i in range(steps + 1)]
        return cls(tuple(min(1 - b / a, clip) for a, b in zip(bar, bar[1:], strict=False)))

    def zero_terminal_snr(self) -> DDPM:
        """The chain with sqrt(alpha_bar) shifted and scaled to end at nothing and to begin as before.

        The last alpha_bar is 2^-24 and not 0, or half of the one before where that is less, so that the process has a score up
        to its horizon: at most 2e-4 of the data is left in x there. A network for it predicts v or the data: the noise says
        nothing of the data at the end.
        """
        first, last = math.sqrt(self.alpha_bar(1)), math.sqrt(self.alpha_bar(self.steps))
        scale = first / (first - last)
        bar = [((math.sqrt(self.alpha_bar(i)) - last) * scale) ** 2 for i in range(1, self.steps)]
        bar = [1.0, *bar, min(ALMOST_NOTHING, bar[-1] / 2)]
        return DDPM(tuple(1 - b / a for a, b in zip(bar, bar[1:], strict=False)), self.horizon)

    @classmethod
    def from_process(cls, sde: LinearSDE, steps: int = 1000) -> DDPM:
        """The chain that meets a variance-preserving process at `steps` equal times.

        Raises:
            ValueError: the process does not preserve variance (alpha^2 + sigma^2 = 1).
        """
        times = [sde.horizon * i / steps for i in range(steps + 1)]
        if any(abs(sde.alpha(t) ** 2 + sde.sigma(t) ** 2 - 1) > 1e-9 for t in times):
            raise ValueError(
                f"{type(sde).__name__} does not preserve variance; a DDPM chain needs alpha^2 + sigma^2 = 1"
            )
        ratios = [(sde.alpha(t) / sde.alpha(s)) ** 2 for s, t in zip(times, times[1:], strict=False)]
        return cls(tuple(float(1 - r) for r in ratios), horizon=sde.horizon)

    @property
    def steps(self) -> int:
        """N."""
        return len(self.betas)

    @property
    def t_min(self) -> float:
        """The first node."""
        return self.horizon / self.steps

    @cached_property
    def _integral(self) -> list[float]:
        return [0.0, *accumulate(-math.log1p(-b) for b in self.betas)]

    def alpha_bar(self, i: int) -> float:
        """prod_{j <= i} (1 - beta_j) for i = 0..N."""
        return math.exp(-self._integral[i])

    def node(self, i: int) -> float:
        """The time of step i."""
        return self.horizon * i / self.steps

    def posterior_of_step(self, x_i: Tensor, x0: Tensor, i: int) -> tuple[Tensor, float]:
        """(mean, std) of q(x_{i-1} | x_i, x_0), the DDPM paper's equations (6) and (7), for i = 1..N.

        The std is sqrt(beta_tilde), the smaller of the paper's two choices; the larger is sqrt(beta_i).
        """
        bar, bar_before, beta = self.alpha_bar(i), self.alpha_bar(i - 1), self.betas[i - 1]
        on_x0 = math.sqrt(bar_before) * beta / (1 - bar)
        on_x_i = math.sqrt(1 - beta) * (1 - bar_before) / (1 - bar)
        return combine(on_x0, x0, on_x_i, x_i), math.sqrt(beta * (1 - bar_before) / (1 - bar))

    def _cell(self, t: Coefficient):
        u = t * (self.steps / self.horizon)
        if not isinstance(t, Tensor):
            i = min(max(math.ceil(u) - 1, 0), self.steps - 1)
            return i, u - i, self._integral
        i = (torch.as_tensor(u).detach().ceil().long() - 1).clamp(0, self.steps - 1)
        return i, u - i, torch.tensor(self._integral, dtype=torch.float64, device=t.device)

    def beta(self, t: Coefficient) -> Coefficient:
        """The piecewise constant rate B'(t), in 1/time; at a node it is that of the step which ends there."""
        i, rest, table = self._cell(t)
        return (table[i + 1] - table[i]) * (self.steps / self.horizon) + 0 * rest

    def integral(self, t: Coefficient) -> Coefficient:
        """B(t) = -log(alpha_bar)."""
        i, rest, table = self._cell(t)
        return table[i] + (table[i + 1] - table[i]) * rest

    def f(self, t: Coefficient) -> Coefficient:
        """-beta(t)/2."""
        return -0.5 * self.beta(t)

    def g(self, t: Coefficient) -> Coefficient:
        """sqrt(beta(t))."""
        return sqrt(self.beta(t))

    def alpha(self, t: Coefficient) -> Coefficient:
        """e^{-B/2}."""
        return exp(-0.5 * self.integral(t))

    def sigma(self, t: Coefficient) -> Coefficient:
        """sqrt(1 - e^{-B})."""
        return sqrt(-expm1(-self.integral(t)))

    def time(self, log_snr: Coefficient) -> Coefficient:
        """The inverse of the piecewise linear B, at B = log(1 + e^{-l})."""
        b = softplus(-log_snr)
        if not isinstance(b, Tensor):
            i = min(max(bisect_left(self._integral, b) - 1, 0), self.steps - 1)
            table = self._integral
        else:
            table = torch.tensor(self._integral, dtype=torch.float64, device=b.device)
            i = (torch.searchsorted(table, b.detach()) - 1).clamp(0, self.steps - 1)
        return (i + (b - table[i]) / (table[i + 1] - table[i])) * (self.horizon / self.steps)
