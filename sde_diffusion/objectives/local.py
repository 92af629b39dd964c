r"""Local denoising score matching: the last small step of a path is a Gaussian channel, whatever the drift.

Simulate to t - h and take one Euler-Maruyama step, x_t = x + h f(x) + g sqrt(h) eps. Given x, the score of x_t is
-eps/(g sqrt(h)), and its mean given x_t is that of x_t itself, so that

    E|g sqrt(h) s(x_t, t) + eps|^2                                                                                (1)

has its minimum at grad log p_t (of the scheme, which is within O(h) of the process). No Jacobian is needed; the smaller
h, the less the loss tells of the score: its variance relative to it grows as 1/h.

References:
    Vincent, A Connection Between Score Matching and Denoising Autoencoders, 2011, https://doi.org/10.1162/NECO_a_00142
    De Bortoli et al., Diffusion Schrodinger Bridge with Applications to Score-Based Generative Modeling, 2021,
        https://arxiv.org/abs/2106.01357, section 2 (one step of the chain as the target)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from sde_diffusion.objectives.forward_states import Simulated, States, euler_maruyama
from sde_diffusion.objectives.implicit import score_field
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.uniforms import Uniforms, stratified
from sde_diffusion.objectives.weighting import TimeDistribution, uniform_time
from sde_diffusion.sde.base import SDE
from solvers.elementary import sqrt
from solvers.elementwise import scale


@dataclass(frozen=True)
class LocalDenoising:
    """Equation (1) by the mean over dimensions, with h = `share` of each time; `states` draws x_{t - h}."""

    share: float = 0.1
    states: States = field(default_factory=Simulated)
    times: TimeDistribution = uniform_time
    draw: Uniforms = stratified

    def __post_init__(self) -> None:
        """Raises ValueError unless 0 < share < 1."""
        if not 0 < self.share < 1:
            raise ValueError(f"the last step is a share of the time in (0, 1), got {self.share}; give 0.1")

    def __call__(
        self, denoiser: nn.Module, sde: SDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """The loss of each sample, (B,), from data x0 (B, *E)."""
        t = self.times(sde, self.draw(x0, generator))  # pyright: ignore[reportArgumentType]
        h = self.share * t
        x, noise = euler_maruyama(sde, self.states(sde, x0, t - h, generator), t - h, h, generator)
        score = score_field(denoiser, sde, t, **condition)(x.detach())
        error = scale(sde.diffusion(t - h) * sqrt(h), score) + noise
        return error.square().flatten(1).mean(1)
