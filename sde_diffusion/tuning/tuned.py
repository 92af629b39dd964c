"""A tuned solver as a small file: its numbers, and what they were tuned on."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.io.plain import read_plain
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.scaled_velocity_form import scaled_velocity_form
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import fixed
from solvers.integrate import FixedGrid
from solvers.methods.tabulated import Tabulated

FORMAT = "sde_diffusion tuned solver 2"


@dataclass(frozen=True)
class Tuned:
    """A solver of n calls in one chart and between two readings of its clock.

    Attributes:
        weight: c of the chart.
        start, stop: the clock's readings at both ends.
        times: what the denoiser is told at each call (n,).
        factors, table: of the state and of the fields, as in `Tabulated`.
        record: what it was tuned on, and how far it was off on trajectories that it was not tuned on.
    """

    weight: float
    start: float
    stop: float
    times: tuple[float, ...]
    factors: tuple[float, ...]
    table: tuple[tuple[float, ...], ...]
    record: dict[str, Any]

    @property
    def nfe(self) -> int:
        """Denoiser calls of one solve."""
        return len(self.table)

    def reversal(self, sde: LinearSDE, denoiser: Denoiser) -> Reversal:
        """The equation, in the chart and clock that the numbers belong to; it ends on x at t_min itself."""
        return scaled_velocity_form(sde, denoiser, self.weight).without_final_denoise()

    def solver(self) -> FixedGrid:
        """The method. It refuses a process with another range of noise levels.

        Its states are no points of the flow before the last one; the grid names them by equal steps of the clock.
        """
        grid = torch.linspace(self.start, self.stop, self.nfe + 1, dtype=torch.float64)
        return FixedGrid(Tabulated(self.table, self.factors, self.times), self.nfe, fixed(grid))

    def save(self, path: str | os.PathLike) -> None:
        """Write JSON beside the path, then rename."""
        target = Path(path)
        beside = target.with_name(target.name + ".partial")
        beside.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1), encoding="utf-8")
        os.replace(beside, target)

    @classmethod
    def load(cls, path: str | os.PathLike) -> Tuned:
        """Read a file of `save`. Raises ValueError for any other, FileNotFoundError for none."""
        try:
            if not Path(path).exists():
                raise FileNotFoundError(2, "no such file", str(path))
            content = read_plain(Path(path))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            tuned = cls(
                float(content["weight"]),
                float(content["start"]),
                float(content["stop"]),
                tuple(map(float, content["times"])),
                tuple(map(float, content["factors"])),
                tuple(tuple(map(float, row)) for row in content["table"]),
                dict(content["record"]),
            )
            tuned.solver()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no whole tuned solver ({error}); make it again with tune()") from error
        if not all(map(math.isfinite, [tuned.start, tuned.stop, *tuned.times, *tuned.factors, *sum(tuned.table, ())])):
            raise ValueError(f"{path} is no whole tuned solver (a number is not finite); make it again with tune()")
        return tuned
