"""What a comparison asks of a sampler, whoever describes it."""

from __future__ import annotations

from typing import Protocol

from sde_diffusion.denoiser import Denoiser
from sde_diffusion.reversal import Reversal
from sde_diffusion.sde import LinearSDE
from solvers import FixedGrid


class Recipe(Protocol):
    """A sampler that has a name and can be assembled for any process and denoiser; str() spells it out."""

    @property
    def label(self) -> str:
        """How people call it."""
        ...

    @property
    def steps(self) -> int:
        """How many steps its solver takes."""
        ...

    def assembled(self, sde: LinearSDE, denoiser: Denoiser) -> tuple[Reversal, FixedGrid]:
        """The reversal and the solver; ValueError when they do not fit."""
        ...
