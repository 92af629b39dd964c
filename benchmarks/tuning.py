"""What tuning gains: a tuned solver, the default rule and the best of all peers' settings, on points drawn afterwards.

    python -m benchmarks.tuning --problem two         both ranges, minutes
    python -m benchmarks.tuning                       the four named problems

For each budget a solver is tuned as a user would (`tune`, with the reference that it makes itself). Its error is
measured on the points of the work-precision cells, which no tuning has used. "Best peer" is the best of all settings of all peers, picked
afterwards for each budget on those very points.

Results are merged into the summary results/tuning.json; the table (.md) and the plot (.png) are made from it.
raw/tuning.json.gz has every error and the record of every tuning of this machine's runs.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any

import torch
from torch import Tensor

from benchmarks.tuning_report import summarised, write_report
from benchmarks.work_precision import Run, measure, merge, settings
from benchmarks.work_precision_problems import PROBLEMS, RANGES, Cell, drawn
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.tuning.tune import TuneSettings, tune

NFE = (5, 6, 8, 10, 15, 20)
NAMED = ("two", "ring8", "mixture64", "digits")
EFFORT = {
    "two": TuneSettings(30, 2048),
    "ring8": TuneSettings(30, 2048),
    "mixture64": TuneSettings(12, 192),
    "digits": TuneSettings(8, 128),
    "unseen: checkerboard": TuneSettings(25, 512),
    "unseen: 20 modes in 4-D": TuneSettings(20, 512),
    "unseen: 3 modes in 32-D": TuneSettings(25, 256),
    "unseen: mixture64, seed 7": TuneSettings(12, 96),
    "fresh: two moons": TuneSettings(25, 512),
    "fresh: 12 modes in 8-D": TuneSettings(25, 512),
    "fresh: patches": TuneSettings(8, 128),
}
"""Trajectories and iterations from each start: as many as a few minutes pay for."""

POINTS = {"digits": 256}
"""Points of a problem of which the work-precision cells have too few for a share that is small."""


def tuned_run(tuned: Tuned) -> Run:
    """A tuned solver on the points of a cell."""

    def run(given: Cell, denoiser: Denoiser) -> Tensor:
        form, solver = tuned.reversal(given.sde, denoiser), tuned.solver()
        return form.solve(solver, given.x)

    return run


def timed_tune(given: Cell, nfe: int, effort: TuneSettings) -> tuple[Tuned, float]:
    """A tuned solver and the seconds that it took."""
    began = time.perf_counter()
    shape = tuple(given.law.event_shape)
    tuned = tune(ExactDenoiser(given.law), given.sde, nfe, shape, effort, dtype=torch.float64)
    return tuned, time.perf_counter() - began


def judged(name: str, span: str, seed: int) -> Cell:
    """The cell with the points that the errors are measured on."""
    problem = PROBLEMS[name]
    return drawn(replace(problem, points=POINTS.get(name, problem.points)), RANGES[span], seed)


def entry(key: tuple[str, str], seed: int, budgets: Sequence[int] = NFE) -> dict[str, Any]:
    """One problem in one range: the tuned solvers' errors, and those of everything else, at each budget."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    given, effort = judged(*key, seed), EFFORT[key[0]]
    errors: dict[str, dict[int, float | None]] = {}
    tuned, seconds, records = {}, {}, {}
    for nfe in budgets:
        found, seconds[nfe] = timed_tune(given, nfe, effort)
        tuned[nfe], records[nfe] = measure(given, tuned_run(found), nfe), found.record
        for name, run in settings(nfe):
            error = measure(given, run, nfe)
            errors.setdefault(name, {})[nfe] = error if math.isfinite(error) else None
    return {"points": len(given.x), "metric": given.problem.error.__name__, "seed": seed, "tuned": tuned,
            "tuning_seconds": seconds, "records": records, "errors": errors}  # fmt: skip


def main() -> None:
    """Run the chosen cells and rewrite the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="repeat for several; the named by default")
    parser.add_argument("--nfe", type=int, choices=NFE, action="append", help="repeat for several; all by default")
    parser.add_argument("--seed", type=int, default=20261124, help="of the points x_T")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time")
    chosen = parser.parse_args()
    keys = list(product(chosen.problem or NAMED, RANGES))
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for key, found in zip(
            keys, pool.map(partial(entry, seed=chosen.seed, budgets=chosen.nfe or NFE), keys), strict=True
        ):
            merge("tuning", " | ".join(key), found, summarised(found))
    print(write_report())


if __name__ == "__main__":
    main()
