r"""Twists: what an observation y says of x_t, from the denoiser's answer and its derivative.

A twist is an estimate of p(y | x_t), the integral of p(y | x_0) p(x_0 | x_t), and of E[x_0 | x_t, y] - E[x_0 | x_t]. With
D = E[x_0 | x_t] and J = dD/dx_t,

    Cov[x_0 | x_t] = (sigma^2/alpha) J,   score given y = score + grad log p(y | x_t)
                                          <=>  shift = (sigma^2/alpha) grad log p(y | x_t).                         (1)

Twists are exact at no noise level but for special priors. As guidance (`Guided`) they have a bias that no number of steps
removes; as proposals of weighted particles they have none, whatever the twist.

References:
    Efron, Tweedie's Formula and Selection Bias, 2011, https://doi.org/10.1198/jasa.2011.tm11181
    Wu et al., Practical and Asymptotically Exact Conditional Sampling in Diffusion Models, 2023,
        https://arxiv.org/abs/2306.17775
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel


class Moments:
    """E[x_0 | x_t] and its covariance, of one call of the denoiser whose graph is kept.

    Attributes:
        mean: D, shape (B, *E), without a graph.
        kernel: the noise level.
    """

    def __init__(self, denoiser: Denoiser, x_t: Tensor, kernel: Kernel, differentiable: bool = True, **condition: Any):
        with torch.set_grad_enabled(differentiable):
            self._at = x_t.detach().requires_grad_(differentiable)
            self._answer = denoiser(self._at, kernel, **condition)
        self.mean, self.kernel = self._answer.detach(), kernel

    def covariance(self, v: Tensor) -> Tensor:
        """Cov[x_0 | x_t] v = (sigma^2/alpha) J^T v, shape (B, *E), for v of shape (B, *E)."""
        return self._factor(v) * torch.autograd.grad(self._answer, self._at, v, retain_graph=True)[0]

    def covariances(self, vs: Tensor) -> Tensor:
        """The same of M vectors a sample at once, shape (M, B, *E)."""
        pulled = torch.autograd.grad(self._answer, self._at, vs, retain_graph=True, is_grads_batched=True)[0]
        return self._factor(vs[0]) * pulled

    def _factor(self, like: Tensor) -> Any:
        alpha, sigma = self.kernel.over(like)
        return sigma**2 / alpha


class Twisted(NamedTuple):
    """log p(y | x_t), float64, shape (B,), and E[x_0 | x_t, y] - E[x_0 | x_t], shape (B, *E)."""

    log_prob: Tensor
    shift: Tensor


class Twist(ABC):
    """An estimate of what y says of x_t.

    Attributes:
        observation: what was seen.
        differentiable: whether it needs the derivative of the denoiser.
    """

    observation: Any
    differentiable: bool = True

    @abstractmethod
    def __call__(self, moments: Moments) -> Twisted:
        """The estimate, each sample by itself."""


class Guided(Denoiser):
    """D + shift: the denoiser under an observation, for every sampler; biased, see the module's text."""

    def __init__(self, denoiser: Denoiser, twist: Twist) -> None:
        super().__init__()
        self.denoiser, self.twist = denoiser, twist

    def forward(self, x_t: Tensor, kernel: Kernel, **condition: Any) -> Tensor:
        """The guided estimate of the data, shape (B, *E)."""
        moments = Moments(self.denoiser, x_t, kernel, self.twist.differentiable, **condition)
        return moments.mean + self.twist(moments).shift

    def select(self, rows: Tensor) -> Denoiser:
        """The same of some of the samples."""
        chosen = self.denoiser.select(rows)
        return self if chosen is self.denoiser else Guided(chosen, self.twist)
