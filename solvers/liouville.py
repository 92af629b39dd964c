r"""How a density changes along a flow: Liouville's equation, solved together with the flow as one larger ODE.

Where points move by dx/dt = F(x, t), a density p that moves with them obeys, along each of them,

    d log p/dt = -div F(x, t),   so that   log p_start(x_start) = log p_stop(x_stop) + integral_start^stop div F dt. (1)

The state (x, integrals) carries one integral for each estimate of the divergence. Each sample has probes of its own, which
`select` picks when a solver evaluates the field for some of the samples only.

References:
    Chen et al., Neural Ordinary Differential Equations, 2018, https://arxiv.org/abs/1806.07366, theorem 1
    Grathwohl et al., FFJORD: Free-form Continuous Dynamics for Scalable Reversible Generative Models, 2019,
        https://arxiv.org/abs/1810.01367
"""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.as_ode import as_ode
from solvers.divergence import Divergence
from solvers.equations import ODE, Equation, select_rows
from solvers.integrate import Solver, as_state


def solve_with_log_density(
    solver: Solver,
    equation: Equation,
    x: Tensor,
    start: float,
    stop: float,
    divergence: Divergence,
    seed: int = 0,
    indices: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(x at `stop` (B, *E), the integrals of equation (1) (B, columns)) of points x (B, *E) at `start`.

    Args:
        equation: an `ODE`, or a `SemilinearODE` as a whole.
        seed, indices: what the probes are a function of; sample i of the batch has number i without `indices` (B,).

    Gradients pass where the caller has them on. Raises TypeError for another equation or a state that is no floating
    tensor, ValueError for a state that is not finite.
    """
    x = as_state(x)
    ode = as_ode(equation, "a likelihood")
    indices = torch.arange(len(x), device=x.device) if indices is None else indices
    probes = divergence.probes(x, seed, indices)
    state = torch.cat((x.flatten(1), x.new_zeros(len(x), divergence.columns)), 1)
    state = solver(augmented(ode, divergence, probes, x.shape[1:]), state, start, stop)
    size = x[0].numel()
    return state[:, :size].reshape(x.shape), state[:, size:]


def augmented(ode: ODE, divergence: Divergence, probes: Tensor, event_shape: torch.Size) -> ODE:
    """The equation of (x, integrals), rows of d + columns numbers."""
    size = event_shape.numel()

    def drift(state: Tensor, t) -> Tensor:
        x = state[:, :size].unflatten(1, event_shape)
        value, estimates = divergence.along(lambda point: ode.drift(point, t), x, probes)
        return torch.cat((value.flatten(1), estimates), 1)

    def select(rows: Tensor) -> ODE:
        return augmented(select_rows(ode, rows), divergence, probes[rows], event_shape)

    return ODE(drift, select=select, spacing=ode.spacing)
