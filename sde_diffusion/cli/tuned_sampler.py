"""A sampler that is a file of `sde-diffusion tune`: it knows its reversal, its numbers and its cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sde_diffusion.denoisers.base import Denoiser
    from sde_diffusion.reversal import Reversal
    from sde_diffusion.sde import LinearSDE
    from sde_diffusion.tuning.tuned import Tuned
    from solvers import FixedGrid

SUFFIX = ".json"


@dataclass(frozen=True)
class TunedSampler:
    """A tuned solver beside `Sampler`; `label` is its file's name."""

    file: str
    tuned: Tuned

    @classmethod
    def read(cls, file: str) -> TunedSampler:
        """The solver of a file; ValueError for a damaged one, FileNotFoundError for none."""
        from sde_diffusion.tuning.tuned import Tuned

        return cls(file, Tuned.load(file))

    @property
    def label(self) -> str:
        """The name of the file without its folder and its ending."""
        return Path(self.file).name.removesuffix(SUFFIX)

    @property
    def steps(self) -> int:
        """As many as evaluations."""
        return self.tuned.nfe

    def with_steps(self, steps: int) -> TunedSampler:
        """Itself; ValueError for any other number of steps than its own."""
        if steps != self.steps:
            raise ValueError(f"{self.file} is tuned to {self.steps} evaluations, {steps} were asked for; tune another")
        return self

    def with_tol(self, tol: float) -> TunedSampler:
        """Always a ValueError: its steps are its own."""
        raise ValueError(
            f"{self.file} is tuned to {self.steps} evaluations, a tolerance of {tol:g} was asked for; drop it"
        )

    def at_budgets(self, budgets: Sequence[int]) -> Iterator[TunedSampler]:
        """Itself once, whatever the budgets: it has one of its own."""
        yield self

    def assembled(self, sde: LinearSDE, denoiser: Denoiser) -> tuple[Reversal, FixedGrid]:
        """The reversal and the solver; ValueError for another process than the one it was tuned on."""
        if repr(sde) != self.tuned.record.get("process"):
            raise ValueError(
                f"{self.file} is tuned on {self.tuned.record.get('process')}, the process is {sde!r}; tune another"
            )
        return self.tuned.reversal(sde, denoiser), self.tuned.solver()

    def __str__(self) -> str:
        return f"{self.label}/{self.steps}"
