"""What a comparison asks of a sampler, whoever describes it."""

from __future__ import annotations

from typing import Protocol

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal import Reversal
from sde_diffusion.sde import LinearSDE
from solvers import FixedGrid, KeyedIncrements, Solver, WienerTree
from solvers.wiener import SeededPath


class Recipe(Protocol):
    """A sampler that has a name and can be assembled for any process and denoiser; str() spells it out."""

    @property
    def label(self) -> str:
        """How people call it."""
        ...

    @property
    def steps(self) -> int:
        """How many steps its solver takes; 0 for one that chooses them itself."""
        ...

    def build(self, sde: LinearSDE, denoiser: Denoiser) -> tuple[Reversal, Solver]:
        """The reversal and the solver; ValueError when they do not fit."""
        ...


def paths_for(solver: Solver) -> type[SeededPath]:
    """Keyed increments for a fixed grid, the tree for a solver that chooses its own times."""
    return KeyedIncrements if isinstance(solver, FixedGrid) else WienerTree
