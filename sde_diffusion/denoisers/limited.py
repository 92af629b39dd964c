r"""Denoisers that are no scores: E[x_0 | x_t] where the law of x_t is not that of data with independent noise.

Tweedie's formula needs noise that is independent of x_0. Two kinds of training break that, and leave one equation right:

    `Coupled`      x_1, which stands in the place of the noise, was chosen with x_0 (an assignment, reflow): the flow
                   dx/dt = a' x0_hat + b' x1_hat is right, and no SDE is.
    `HalfBridge`   x_T is whatever a plan gives, the process between the ends is the reference's own: the reverse SDE
                   (stochasticity 1) is right, since the drift f x - g^2 E[grad log p(x_t | x_0) | x_t] does not ask how x_T
                   is distributed; the flow, other stochasticities, correctors and likelihoods are not.

Reversals refuse the others: see `check_equation`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.ends import Ends
from sde_diffusion.junction import Junction
from sde_diffusion.kernel import Kernel
from solvers.elementwise import scale


class Limited(Denoiser):
    """A denoiser with which the equation of one stochasticity alone is right."""

    stochasticity: ClassVar[float]
    reason: ClassVar[str]


class Coupled(Limited):
    """A denoiser trained with noise that depended on the data."""

    stochasticity = 0.0
    reason = "its noise depended on the data, so that only the flow is known; take probability_flow or velocity_form"

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def select(self, rows: Tensor) -> Coupled:
        """The same for some of the samples."""
        chosen = self.denoiser.select(rows)
        return self if chosen is self.denoiser else Coupled(chosen)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The denoiser's answer."""
        return self.denoiser(x_t, kernel, **condition)


class HalfBridge(Limited):
    """E[x_0 | x_t] of a pinned process, as a denoiser of that process for its reverse SDE from points x_T.

    Args:
        ends: what knows both ends.
        bridge: a `sde_diffusion.sde.Pinned`.
    """

    stochasticity = 1.0
    reason = (
        "it is one half of a bridge, so that only the reverse SDE (eta = 1) is known; take reverse_sde or bridge_flow"
    )

    def __init__(self, ends: Ends, bridge: Any) -> None:
        super().__init__()
        self.ends, self.bridge = ends, bridge

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """E[x_0 | x_t], shape (B, *E), for any kernel of the process's log-SNR."""
        t = self.bridge.sde.time(kernel.log_snr)
        own = scale(self.bridge.sde.alpha(t) / kernel.alpha, x_t)
        junction: Junction = self.bridge.junction(t)
        return self.ends.near(own, junction, **condition)


def check_equation(name: str, model: Any, stochasticity: Any) -> None:
    """Raises ValueError where `name`, of a stochasticity eta (None: it needs the score itself), is wrong for a model."""
    parts = model.modules() if isinstance(model, nn.Module) else ()
    for part in parts:
        if isinstance(part, Limited) and part.stochasticity != stochasticity:
            raise ValueError(f"{name} needs a score, got {type(part).__name__}: {part.reason}")
