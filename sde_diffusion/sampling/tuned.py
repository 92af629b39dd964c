"""A tuned solver as a small file and as a sampler: its numbers, and what they were tuned on."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.io.atomic import replace_file, to_json
from sde_diffusion.io.plain import read_plain
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.scaled_velocity_form import scaled_velocity_form
from sde_diffusion.sampling.budget import Budget, Steps, Tol
from sde_diffusion.sampling.sampler import Sampler
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import fixed
from solvers.integrate import FixedGrid, Solver
from solvers.methods.tabulated import Tabulated

FORMAT = "sde_diffusion tuned solver 2"


@dataclass(frozen=True)
class Tuned(Sampler):
    """A sampler of n calls with numbers of its own, for one process and one model; `tune` makes it.

    Attributes:
        weight: c of the equation, `scaled_velocity_form`.
        start, stop: the equation's time variable at both ends.
        times: the time at which each call asks the denoiser (n,).
        factors, table: of the state and of the fields, as in `Tabulated`.
        record: what it was tuned on, and its error on trajectories that it was not tuned on.
        label: its name, that of its file without the folder and the ending.
    """

    weight: float
    start: float
    stop: float
    times: tuple[float, ...]
    factors: tuple[float, ...]
    table: tuple[tuple[float, ...], ...]
    record: dict[str, Any]
    label: str = field(default="tuned", compare=False)

    def parts(self) -> str:
        """Its numbers."""
        return repr((self.weight, self.start, self.stop, self.times, self.factors, self.table))

    @property
    def budget(self) -> Budget:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Its number of calls."""
        return Steps(self.nfe)

    @property
    def nfe(self) -> int:
        """Denoiser calls of one solve."""
        return len(self.table)

    def with_budget(self, chosen: Budget) -> Self:
        """Itself; ValueError for any other budget than its own number of calls."""
        if isinstance(chosen, Tol) or chosen.count != self.nfe:
            raise ValueError(
                f"{self.label} is tuned to {self.nfe} evaluations, got {chosen}; tune another or leave it out"
            )
        return self

    def steps_for(self, nfe: int) -> int:
        """Its own number of calls, where so many are paid for; 0 otherwise."""
        return self.nfe if nfe >= self.nfe else 0

    def at_budgets(self, budgets: Sequence[int]) -> Iterator[Sampler]:
        """Itself once, whatever the budgets: it has one of its own."""
        yield self

    def _in_calls(self, sde: Any, denoiser: Any, chosen: Any, data_std: float) -> tuple[Reversal, Solver]:
        self.with_budget(chosen)
        tuned_on = self.record.get("process")
        if repr(sde) != tuned_on:
            raise ValueError(f"{self.label} is tuned on {tuned_on}, the process is {sde!r}; tune another")
        return self.reversal(sde, denoiser), self.solver()

    _in_steps = _to_tolerance = _in_calls

    def reversal(self, sde: LinearSDE, denoiser: Denoiser) -> Reversal:
        """The equation that the numbers belong to; it ends on x at t_min itself."""
        return scaled_velocity_form(sde, denoiser, self.weight).without_final_denoise()

    def solver(self) -> FixedGrid:
        """The method. It refuses a process with another range of noise levels.

        Its states are no points of the flow before the last one; the grid names them by equal steps of the clock.
        """
        grid = torch.linspace(self.start, self.stop, self.nfe + 1, dtype=torch.float64)
        return FixedGrid(Tabulated(self.table, self.factors, self.times), self.nfe, fixed(grid))

    def save(self, path: str | os.PathLike) -> None:
        """Write it as JSON, in full or not at all. Raises OSError with the file's name."""
        replace_file(Path(path), to_json({"format": FORMAT, **self.as_dict()}))

    def as_dict(self) -> dict[str, Any]:
        """Its numbers and its record as plain data, without the label."""
        return {name: value for name, value in asdict(self).items() if name != "label"}

    @classmethod
    def load(cls, path: str | os.PathLike) -> Tuned:
        """Read a file of `save`. Raises ValueError for any other, FileNotFoundError for none."""
        try:
            if not Path(path).exists():
                raise FileNotFoundError(2, "no such file", str(path))
            content = read_plain(Path(path))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls.of_dict(content, Path(path).stem)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no whole tuned solver ({error}); make it again with tune()") from error

    @classmethod
    def of_dict(cls, content: Mapping[str, Any], label: str = "tuned") -> Tuned:
        """That of `as_dict`. Raises ValueError, KeyError or TypeError for anything else."""
        tuned = cls(
            float(content["weight"]),
            float(content["start"]),
            float(content["stop"]),
            tuple(map(float, content["times"])),
            tuple(map(float, content["factors"])),
            tuple(tuple(map(float, row)) for row in content["table"]),
            dict(content["record"]),
            label,
        )
        tuned.solver()
        if not all(map(math.isfinite, [tuned.start, tuned.stop, *tuned.times, *tuned.factors, *sum(tuned.table, ())])):
            raise ValueError("a number is not finite")
        return tuned
