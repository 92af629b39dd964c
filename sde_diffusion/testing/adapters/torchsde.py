"""torchsde: the methods of `sdeint`, on the kit's paths, by the back-end `solvers.backends.torchsde`."""

from __future__ import annotations

from solvers.backends.torchsde import Torchsde
from solvers.equations import ItoSDE
from solvers.method import Order
from solvers.testing import Report, check_engine
from solvers.testing.report import QUICK


def check_torchsde(method: str, declared: Order | None, level: str = QUICK) -> Report:
    """The report on a method of torchsde for additive noise, on uniform steps, in both directions of time."""
    return check_engine(f"torchsde {method}", lambda steps: Torchsde(method, steps), ItoSDE, declared, level)
