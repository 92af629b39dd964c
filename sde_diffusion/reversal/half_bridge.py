r"""A Schroedinger bridge's two halves: one end is needed for each, and the other end's law for none.

Between the ends of a `Pinned` bridge runs the reference process. Towards x_0 the half is the reverse SDE of the reference,

    dx = (f x - g^2 (alpha x0_hat - x)/sigma^2) dt + g dW downwards, from points x_T,                               (1)

so that every reversal of stochasticity 1 serves: reverse_sde, data_form(eta=1), ancestral, with HalfBridge(ends, bridge) in the
place of the denoiser. Towards x_T it is the h-transform, equation (3) of `sde.pinned`. Both have the marginals of the bridge,
and the joint law of its ends where the plan is a Schroedinger bridge's; else they are its Markovian projections.

References:
    Shi et al., Diffusion Schroedinger Bridge Matching, 2023, https://arxiv.org/abs/2303.16852, propositions 2 and 5
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from sde_diffusion.denoisers.base import call_unwritten
from sde_diffusion.denoisers.ends import Ends
from sde_diffusion.denoisers.limited import HalfBridge
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.bridge_flow import GivenPoints, Towards, check_bridge_arguments, in_bridge_time
from sde_diffusion.reversal.reverse_sde import reverse_sde
from sde_diffusion.sde.pinned import Pinned
from solvers.elementwise import Coefficient
from solvers.equations import ItoSDE


def half_bridge(bridge: Pinned, ends: Ends, towards: Towards = "near") -> Reversal:
    """The half that ends at x_0 (near) or x_T (far); `solve(solver, x, path)` carries points of the other end.

    Raises TypeError for another bridge than `Pinned`, which has no process of its own, ValueError for a wrong direction.
    """
    check_bridge_arguments("half_bridge", bridge, ends, towards)
    if not isinstance(bridge, Pinned):
        raise TypeError(
            f"half_bridge needs a pinned process, got {type(bridge).__name__}; take bridge_sde(bridge, ends, s)"
        )
    start: Any = GivenPoints()
    if towards == "near":
        return reverse_sde(bridge.sde, HalfBridge(ends, bridge), prior=start)

    def drift(x: Tensor, t: Coefficient) -> Tensor:
        return bridge.forward_drift(x, call_unwritten(ends.far, x, bridge.junction(t)).to(x.dtype), t)

    margin = bridge.sde.t_min / bridge.horizon
    reversal = in_bridge_time(bridge, ends, ItoSDE(drift, bridge.sde.diffusion), towards, margin)
    return replace(reversal, start=0.0)
