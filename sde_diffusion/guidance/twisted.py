r"""Posteriors by weighted particles: the twist as a proposal, and weights that take its error back.

Particles follow the steps of the guided denoiser. Their weights are the growth of the twist and the ratio of the free step
to the guided one, see `solvers.particles`; at the end the twist gives way to the likelihood of the sample itself,

    log w = log p(y | x_0) + sum over steps of log(free transition/guided transition),                             (1)

so that the law is the free sampler's times p(y | x_0), whatever the twist, as the sets grow; log Z_k estimates log p(y).

References:
    Wu et al., Practical and Asymptotically Exact Conditional Sampling in Diffusion Models, 2023,
        https://arxiv.org/abs/2306.17775, section 3
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.conditioned import rows_for
from sde_diffusion.guidance.twists.base import Moments, Twist
from sde_diffusion.kernel import Kernel
from solvers.particles import Look, Weighting


class TwistedWeighting(Weighting):
    """Equation (1) for a denoiser and a twist; one call of the denoiser a look. Its memory is log p(y | x_t) of the twist.

    `condition` is the denoiser's, one for all samples, see `denoisers.conditioned.rows_for`.
    """

    def __init__(self, denoiser: Denoiser, twist: Twist, condition: Mapping[str, Any] | None = None) -> None:
        self.denoiser, self.twist, self.condition = denoiser, twist, dict(condition or {})

    def look(self, question: tuple[Any, ...], memory: Any) -> Look:
        """The guided and the free answer, and how much the twist has grown."""
        moments = self._moments(*question)
        log_prob, shift = self.twist(moments)
        return Look(moments.mean + shift, moments.mean, _growth(log_prob, memory), log_prob)

    def last(self, question: tuple[Any, ...], memory: Any) -> Look:
        """The free answer, with its own likelihood in the place of the twist."""
        x_t, kernel = question
        mean = self.denoiser(x_t, kernel, **rows_for(self.condition, len(x_t), x_t.device))
        return Look(mean, None, _growth(self.twist.observation.log_prob(mean).double(), memory), None)

    def _moments(self, x_t: Tensor, kernel: Kernel) -> Moments:
        condition = rows_for(self.condition, len(x_t), x_t.device)
        return Moments(self.denoiser, x_t, kernel, self.twist.differentiable, **condition)


def _growth(log_prob: Tensor, before: Tensor | None) -> Tensor:
    return log_prob if before is None else log_prob - before
