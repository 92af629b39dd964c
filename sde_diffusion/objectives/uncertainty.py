r"""A weighting that is learnt: the loss of each noise level over its own size.

With e(t) = w(t) |D(x_t) - x_0|^2 by the mean over dimensions, and u a number for each noise level,

    loss = e(t)/exp(u(t)) + u(t),                                                                                  (1)

whose minimum over u is u(t) = log E[e(t)]: every level contributes with the same size, whatever w. u is linear in the
features of the noise level that networks take (`networks.features`), begins at zero, and is trained with the network.

References:
    Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models, 2024,
        https://arxiv.org/abs/2312.02696, equations (14) and (15)
    Kendall, Gal & Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics, 2018,
        https://arxiv.org/abs/1705.07115
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.networks.features import level_features
from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.uniforms import Uniforms, stratified
from sde_diffusion.objectives.weighting import EDMWeighting, LogNormalLevel, TimeDistribution, Weighting
from sde_diffusion.sde.base import LinearSDE

FEATURES = 64
WEIGHTING, TIMES = EDMWeighting(1.0), LogNormalLevel(-0.4, 1.0)


class LearnedUncertainty(nn.Module):
    """Equation (1) for a weighting, a distribution of times and the way a batch draws from it.

    The defaults are those of EDM2 for data of unit variance. `train` trains it together with the denoiser and keeps it in the
    checkpoints, in `objective.safetensors`; it has no part in the averages of the weights. One that is built from a run's
    configuration is new, and weighs by w alone.
    """

    def __init__(
        self,
        weighting: Weighting = WEIGHTING,
        times: TimeDistribution = TIMES,
        draw: Uniforms = stratified,
    ) -> None:
        super().__init__()
        self.weighting, self.times, self.draw = weighting, times, draw
        self.gains, self.shift = nn.Parameter(torch.zeros(FEATURES)), nn.Parameter(torch.zeros(()))

    def __call__(
        self, denoiser: Denoiser, sde: LinearSDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """The loss of each sample, shape (B,), from data x0 (B, *E)."""
        return super().__call__(denoiser, sde, x0, generator, **condition)

    def forward(
        self, denoiser: Denoiser, sde: LinearSDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Tensor:
        """The same, without the module's hooks."""
        t = self.times(sde, self.draw(x0, generator))
        noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        error = DenoisingScoreMatching(self.weighting).at(denoiser, sde, x0, noise, t, **condition)
        u = self.uncertainty(sde, t).to(x0.dtype)
        return error * torch.exp(-u) + u

    def uncertainty(self, sde: LinearSDE, t: Tensor) -> Tensor:
        """u (B,) at times (B,), float32 whatever the autocast."""
        level = (-0.5 * torch.as_tensor(sde.log_snr(t))).to(self.gains)
        return (level_features(level, FEATURES) * self.gains).sum(1) + self.shift
