r"""Bridge matching: both ends of x_t = a x_0 + b x_1 + c z are regressed on, from the same pairs and the same times,

    E_t[ w_0 |x0_hat(x_t) - x_0|^2 + w_1 |x1_hat(x_t) - x_1|^2 ],   w_0 = 1/(b^2 + c^2),   w_1 = 1/(a^2 + c^2),     (1)

which has its minimum at the conditional means. The weights are precisions: for the Brownian bridge, whose forward drift is
(x_1 - x_t)/(1-t) with a target of variance eps t/(1-t), the second term is the squared error of the drift over 1 plus that
variance, so that no target grows without bound where an end is near. eps = 0 is flow matching, with both ends for the velocity.

The pairs are made by a coupling, anything called (x0, x1, generator) -> record with near, far and near_rows: see
`sde_diffusion.couplings`. x_1 are the rows of the second data set, `source`; without one they are standard normal noise.

References:
    Shi et al., Diffusion Schroedinger Bridge Matching, 2023, https://arxiv.org/abs/2303.16852, section 4
    Tong et al., Simulation-free Schroedinger Bridges via Score and Flow Matching, 2023, https://arxiv.org/abs/2307.03672
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.base import Batch
from sde_diffusion.denoisers.base import Denoiser, call_unwritten
from sde_diffusion.denoisers.ends import Ends
from sde_diffusion.denoisers.limited import Coupled
from sde_diffusion.objectives.base import RunContext
from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.uniforms import Uniforms, stratified
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.bridge import Bridge
from solvers.elementwise import along


@dataclass(frozen=True)
class BridgeMatching:
    """The loss (1) of each pair; times are stratified, and stay `margin` of the horizon away from the ends."""

    coupling: Callable[..., Any]
    margin: float = 1e-3
    draw: Uniforms = stratified

    def __post_init__(self) -> None:
        """Raises ValueError for a margin outside (0, 0.5)."""
        if not 0 < self.margin < 0.5:
            raise ValueError(f"the margin is a share of the horizon in (0, 0.5), got {self.margin}; take 1e-3")

    def __call__(
        self, ends: Ends, bridge: Bridge, batch: Batch, generator: torch.Generator | None, run: RunContext | None
    ) -> Losses:
        """The losses (B,)."""
        x0, x1, condition = paired(self.coupling, batch, generator)
        t = bridge.horizon * (self.margin + (1 - 2 * self.margin) * self.draw(x0, generator))
        noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        return self.at(ends, bridge, x0, x1, noise, t, **condition)

    def at(
        self, ends: Ends, bridge: Bridge, x0: Tensor, x1: Tensor, noise: Tensor, t: Tensor, **condition: Any
    ) -> Losses:
        """The same with the pairs (B, *E), the noise and the times (B,) given."""
        at = bridge.junction(t)
        near, far = call_unwritten(ends, at.perturb(x0, x1, noise), at, **condition)
        errors = [(hat - x).square() for hat, x in ((near, x0), (far, x1))]
        weights = 1 / (at.b**2 + at.c**2), 1 / (at.a**2 + at.c**2)
        loss = sum(along(w, e) * e for w, e in zip(weights, errors, strict=True))
        return torch.as_tensor(loss).flatten(1).mean(1)


@dataclass(frozen=True)
class CoupledDenoising:
    """Denoising score matching whose noise is chosen with the data: flow matching with a coupling, for any denoiser.

    It trains a `Coupled` denoiser, which gives a flow and no score. x_1, the rows of `source` or standard normal noise, stands
    in the place of the noise, x_t = alpha x_0 + sigma x_1.
    """

    coupling: Callable[..., Any]
    denoising: DenoisingScoreMatching = DenoisingScoreMatching()  # noqa: RUF009 (frozen)

    def __call__(
        self,
        denoiser: Denoiser,
        sde: LinearSDE,
        batch: Batch,
        generator: torch.Generator | None,
        run: RunContext | None,
    ) -> Losses:
        """The losses (B,). Raises TypeError for a denoiser that is not `Coupled`, which every SDE would take for a score."""
        if not any(isinstance(part, Coupled) for part in denoiser.modules()):
            raise TypeError(
                f"noise that is chosen with the data gives no score, and {type(denoiser).__name__} would be taken for one; train "
                "Coupled(denoiser)"
            )
        x0, x1, condition = paired(self.coupling, batch, generator)
        t = self.denoising.times(sde, self.denoising.draw(x0, generator))
        return self.denoising.at(denoiser, sde, x0, x1, t, **condition)


def paired(
    coupling: Callable[..., Any], batch: Batch, generator: torch.Generator | None
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """(x_0, x_1, the conditions of x_0) of the pairs of a batch.

    Raises ValueError for conditions of x_0 that the coupling made itself, and what the coupling raises.
    """
    x0, x1 = batch.x, batch.source
    if x1 is None:
        x1 = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
    label = batch.condition.get("label")
    pairs = coupling(x0, x1, generator) if label is None else coupling(x0, x1, generator, label)
    if batch.condition and pairs.near_rows is None:
        raise ValueError(
            f"{type(coupling).__name__} makes the x_0 itself, which have no {', '.join(batch.condition)}; leave the conditions out"
        )
    return pairs.near, pairs.far, {name: value[pairs.near_rows] for name, value in batch.condition.items()}
