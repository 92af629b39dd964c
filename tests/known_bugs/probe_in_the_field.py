"""The trace's random probe is drawn anew at every evaluation: the ODE of the log-density has no field."""

from __future__ import annotations

import torch

from solvers import ODE
from solvers.testing import check_field

CHECK, CAUSE = "the same question has the same answer", r"a probe is drawn inside"
X = torch.linspace(-1.0, 1.0, 15, dtype=torch.float64).reshape(5, 3)


def log_density_flow(frozen: bool) -> ODE:
    """d(x, log p)/dt of x' = sin x, the divergence by one probe."""
    generator = torch.Generator().manual_seed(0)
    probes = [torch.randn(1, 2, generator=generator, dtype=torch.float64)]

    def drift(state, t):
        x = state[:, :2]
        if not frozen:
            probes.append(torch.randn(1, 2, generator=generator, dtype=torch.float64))
        trace = (torch.cos(x) * probes[-1] ** 2).sum(1, keepdim=True)
        return torch.cat([torch.sin(x), -trace], 1)

    return ODE(drift)


def report():
    return check_field(log_density_flow(frozen=False), X, [0.1, 0.5])


def sound():
    return check_field(log_density_flow(frozen=True), X, [0.1, 0.5])
