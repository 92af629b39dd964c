r"""Implicit score matching: the score from states alone, without a kernel.

    E[g^2 (|s(x_t, t)|^2/2 + div s(x_t, t))] = E[g^2 |s - grad log p_t|^2/2] - E[g^2 |grad log p_t|^2/2],          (1)

by partial integration. All that is asked of the forward process is that it can be simulated.

References:
    Hyvarinen, Estimation of Non-Normalized Statistical Models by Score Matching, 2005, https://jmlr.org/papers/v6/hyvarinen05a.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import call_unwritten
from sde_diffusion.objectives.forward_states import States, through_kernel
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.uniforms import Uniforms, stratified
from sde_diffusion.objectives.weighting import TimeDistribution, uniform_time
from sde_diffusion.sde.base import SDE
from solvers.divergence import Divergence, ExactTrace


@dataclass(frozen=True)
class ImplicitScoreMatching:
    """The left side of (1) by the mean over dimensions; the trace is exact, d products with the Jacobian.

    `states` draws x_t: `through_kernel` for a linear process, `Simulated(steps)` for any other. The model is a denoiser,
    or score(x, t) for a process without kernels.
    """

    states: States = through_kernel
    times: TimeDistribution = uniform_time
    draw: Uniforms = stratified
    trace: Divergence = field(default_factory=ExactTrace)

    def __call__(
        self, denoiser: nn.Module, sde: SDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """The loss of each sample, (B,), from data x0 (B, *E)."""
        t = self.times(sde, self.draw(x0, generator))  # pyright: ignore[reportArgumentType]
        return self.at(denoiser, sde, self.states(sde, x0, t, generator).detach(), t, **condition)

    def at(self, denoiser: nn.Module, sde: SDE, x: Tensor, t: Tensor, **condition) -> Tensor:
        """The same at given states x (B, *E) and times (B,)."""
        field_ = score_field(denoiser, sde, t, **condition)
        score, trace = self.trace.along(field_, x, x.new_empty(len(x), 0, *x.shape[1:]))
        return rate(sde, t, x) * (0.5 * score.square().flatten(1).sum(1) + trace.mean(1)) / x[0].numel()


def score_field(model: nn.Module, sde: SDE, t: Tensor, **condition) -> Any:
    """The model's score at times (B,), as a field of x."""
    return lambda x: sde.score(lambda *where: call_unwritten(model, *where, **condition), x, t)


def rate(sde: SDE, t: Tensor, x: Tensor) -> Tensor:
    """g(t)^2, () or (B,), in x's dtype."""
    return torch.as_tensor(sde.diffusion(t), device=x.device).square().to(x.dtype)
