"""A tuned solver as a small file: times, weights, and what they were tuned on."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sde_diffusion.denoiser import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.weighted_velocity_form import weighted_velocity_form
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import fixed
from solvers.integrate import FixedGrid
from solvers.methods.tabulated import Tabulated

FORMAT = "sde_diffusion tuned solver 1"


@dataclass(frozen=True)
class Tuned:
    """The chart's weight, the n + 1 times, the weights of each step, and the record of the tuning."""

    weight: float
    grid: tuple[float, ...]
    table: tuple[tuple[float, ...], ...]
    record: dict[str, Any]

    @property
    def nfe(self) -> int:
        """Denoiser calls of one solve."""
        return len(self.table)

    def reversal(self, sde: LinearSDE, denoiser: Denoiser) -> Reversal:
        """The equation, in the chart and clock that the numbers belong to; it ends on x at t_min itself."""
        return weighted_velocity_form(sde, denoiser, self.weight).raw()

    def solver(self) -> FixedGrid:
        """The method on its grid. It refuses a process with another range of noise levels."""
        return FixedGrid(Tabulated(self.table), self.nfe, fixed(self.grid))

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
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            tuned = cls(
                float(content["weight"]),
                tuple(map(float, content["grid"])),
                tuple(tuple(map(float, row)) for row in content["table"]),
                dict(content["record"]),
            )
            tuned.solver()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no whole tuned solver ({error}); make it again with tune()") from error
        return tuned
