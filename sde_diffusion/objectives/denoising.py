r"""Denoising score matching: E_t[w(t) |D(alpha x_0 + sigma eps) - x_0|^2] has its minimum at D = E[x_0 | x_t].

References:
    Vincent, A Connection Between Score Matching and Denoising Autoencoders, 2011,
        https://doi.org/10.1162/NECO_a_00142
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, equation (7)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser, call_unwritten
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.uniforms import Uniforms, stratified
from sde_diffusion.objectives.weighting import TimeDistribution, Weighting, simple, uniform_time
from sde_diffusion.sde.base import LinearSDE


@dataclass(frozen=True)
class DenoisingScoreMatching:
    """The loss of each sample, for a weighting, a distribution of times and the way a batch draws from it.

    The times of a batch are stratified unless asked otherwise: one in each of B equal shares of the distribution, in
    random order, which leaves every expectation as it is and lowers the variance.
    """

    weighting: Weighting = simple
    times: TimeDistribution = uniform_time
    draw: Uniforms = stratified

    def __call__(
        self, denoiser: Denoiser, sde: LinearSDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """The weighted mean square error of each sample, shape (B,), from data x0 (B, *E)."""
        t = self.times(sde, self.draw(x0, generator))
        noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        return self.at(denoiser, sde, x0, noise, t, **condition)

    def at(self, denoiser: Denoiser, sde: LinearSDE, x0: Tensor, noise: Tensor, t: Tensor, **condition) -> Tensor:
        """The same with the noise (B, *E) and the times (B,) given."""
        kernel = sde.kernel(t)
        error = call_unwritten(denoiser, kernel.perturb(x0, noise), kernel, **condition) - x0
        return self.weighting(sde, t).to(x0.dtype) * error.square().flatten(1).mean(1)
