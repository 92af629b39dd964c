"""Autoguidance: the answer of a model, extrapolated away from that of a worse version of itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.guidance.base import Guidance, check_range, inside, where
from sde_diffusion.kernel import Kernel
from solvers.elementwise import axpy

Worse = Denoiser
"""A worse version of a denoiser."""


class Autoguidance(Guidance):
    """D_bad + w (D - D_bad), at the noise levels of an interval; D at the others. Both get the condition.

    Args:
        denoiser: the model.
        bad: a worse one of the same kind: of fewer training steps, a shorter average, or fewer parameters.
        weight: w. 1 is the model itself, bit for bit, and 0 the worse one.
        interval: (low, high) of noise levels sigma/alpha; guided where low < level <= high.

    Raises ValueError for an interval that is none.

    References:
        Karras et al., Guiding a Diffusion Model with a Bad Version of Itself, 2024, https://arxiv.org/abs/2406.02507
    """

    needs_condition = False

    def __init__(
        self, denoiser: Denoiser, bad: Worse, weight: float, interval: Sequence[float] = (0.0, math.inf)
    ) -> None:
        super().__init__(denoiser)
        low, high = interval
        check_range("interval", low, high)
        self.bad, self.weight, self.interval = bad, weight, (low, high)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The guided estimate of the data, shape (B, *E)."""
        chosen = inside(kernel, self.interval)
        if self.weight == 0 and chosen is True:
            return self.bad(x_t, kernel, **condition)
        good = self.denoiser(x_t, kernel, **condition)
        if self.weight == 1 or chosen is False:
            return good
        bad = self.bad(x_t, kernel, **condition)
        guided = axpy(bad, self.weight, good - bad)
        return guided if chosen is True else where(chosen, guided, good)

    def select(self, rows: Tensor) -> Denoiser:
        """The same of some of the samples."""
        bad = self.bad.select(rows)
        return super().select(rows) if bad is self.bad else self._of(self.denoiser.select(rows), bad)

    def _of(self, denoiser: Denoiser, bad: Denoiser | None = None) -> Autoguidance:
        return Autoguidance(denoiser, bad or self.bad, self.weight, self.interval)
