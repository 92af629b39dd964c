"""Accuracy against cost: our default rule and the deterministic samplers of PyPI, on the same points x_T.

    python -m benchmarks.work_precision                       every problem, both ranges
    python -m benchmarks.work_precision --problem two         one problem, minutes

A figure is the distance between a sampler's end and the exact end point of the probability flow from the same x_T, at a
number of denoiser calls (NFE) that is counted in the run. The points are drawn by a seed of this run. Peers run
every solver on every grid; "best peer" is the best of all of them, picked afterwards for each cell.

Results are merged into the summaries results/work_precision.json and work_precision_peers.json; the tables (.md) and the
plots (.png) are made from these. raw/work_precision.json.gz has every error of this machine's runs.
Peers that are not installed are named, with the command that installs them.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module, metadata
from itertools import product
from typing import Any

import torch
from torch import Tensor

from benchmarks.output import load_raw, load_summary, save_raw, save_summary
from benchmarks.peers.base import Peer
from benchmarks.work_precision_problems import PROBLEMS, RANGES, Cell, cell
from benchmarks.work_precision_report import peer_ratios, save_peers, summarised, write_report
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.grids import cosine, in_time_of, quadratic_in_vp_time
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sde.edm import EDM
from sde_diffusion.sde.vp import VP
from solvers.grids import Spacing, geometric, power

NFE = (5, 6, 8, 10, 15, 20, 35, 50, 100)
OURS = "default rule"
LIBRARIES = {"diffusers": "diffusers_peers", "k-diffusion": "k_diffusion_peers", "azula": "azula_peers"}
LEVEL = EDM()
GRIDS: dict[str, Spacing] = {
    "Karras": power(7),
    "power 3": power(3),
    "geometric": geometric,
    "VP time": in_time_of(VP(), LEVEL),
    "quadratic VP time": quadratic_in_vp_time(LEVEL),
    "cosine": cosine(LEVEL),
}
"""Grids of noise levels sigma/alpha, the same for every library."""


class Counted(Denoiser):
    """A denoiser that counts its calls."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser, self.calls = denoiser, 0

    def forward(self, x_t: Tensor, kernel: Kernel, **condition: Any) -> Tensor:
        self.calls += 1
        return self.denoiser(x_t, kernel, **condition)


Run = Callable[[Cell, Denoiser], Tensor]


def ours(nfe: int) -> Run:
    """The default rule, as a user calls it."""

    def run(given: Cell, denoiser: Denoiser) -> Tensor:
        form, solver = default_solver(given.sde, denoiser, nfe)
        return form.solve(solver, given.x)

    return run


def theirs(peer: Peer, grid: Spacing, steps: int) -> Run:
    """A peer on a grid, in the coordinates x/alpha."""

    def run(given: Cell, denoiser: Denoiser) -> Tensor:
        first, last = given.sde.kernel(given.sde.horizon), given.sde.kernel(given.sde.t_min)
        kappas = grid(first.sigma / first.alpha, last.sigma / last.alpha, steps)
        denoise = lambda y, kappa: denoiser(y, Kernel(1.0, kappa))  # noqa: E731
        return last.alpha * peer.run(denoise, given.x / first.alpha, kappas)

    return run


def installed_peers() -> Iterator[Peer]:
    """All solvers of all libraries that are there."""
    for library, module in LIBRARIES.items():
        try:
            metadata.version(library)
        except metadata.PackageNotFoundError:
            print(f"{library} is not installed and is left out; pip install {library}")
            continue
        yield from import_module(f"benchmarks.peers.{module}").peers()


def settings(nfe: int) -> Iterator[tuple[str, Run]]:
    """Names and runs of everything that costs `nfe` calls."""
    yield OURS, ours(nfe)
    for peer, grid in product(installed_peers(), GRIDS):
        steps = peer.steps(nfe)
        if steps is not None:
            yield f"{peer.library} {peer.solver}, {grid}", theirs(peer, GRIDS[grid], steps)


@torch.no_grad()
def measure(given: Cell, run: Run, nfe: int) -> float:
    """The cell's error; nan for a setting that fails, overflows or costs another number of calls."""
    counted = Counted(ExactDenoiser(given.law))
    try:
        error = given.error(run(given, counted))
    except (ValueError, IndexError, ArithmeticError, AssertionError, torch.linalg.LinAlgError):
        return math.nan
    return error if counted.calls == nfe else math.nan


def entry(key: tuple[str, str], seed: int) -> dict[str, Any]:
    """One problem in one range: every setting's error at every NFE, None where it has none."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    began = time.perf_counter()
    given = cell(*key, seed)
    errors: dict[str, dict[int, float | None]] = {}
    for nfe in NFE:
        for name, run in settings(nfe):
            error = measure(given, run, nfe)
            errors.setdefault(name, {})[nfe] = error if math.isfinite(error) else None
    return {"points": len(given.x), "metric": given.problem.error.__name__, "errors": errors, "seed": seed,
            "seconds": round(time.perf_counter() - began)}  # fmt: skip


def versions() -> dict[str, str]:
    """What was compared, and on what."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.processor()}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def merge(name: str, key: str, found: dict[str, Any], summary: dict[str, Any]) -> None:
    """Writes one cell into the raw file and its summary into the summary, in the order of PROBLEMS and RANGES."""
    for load, save, entered in ((load_raw, save_raw, found), (load_summary, save_summary, summary)):
        cells = {**load(name).get("cells", {}), key: entered}
        order = [" | ".join(pair) for pair in product(PROBLEMS, RANGES)]
        save(name, {"versions": versions(), "cells": {name: cells[name] for name in order if name in cells}})


def main() -> None:
    """Run the chosen cells and rewrite the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="repeat for several; all by default")
    parser.add_argument("--seed", type=int, default=20261122, help="of the points x_T")
    parser.add_argument("--jobs", type=int, default=2, help="cells at a time")
    chosen = parser.parse_args()
    keys = list(product(chosen.problem or PROBLEMS, RANGES))
    with ProcessPoolExecutor(chosen.jobs) as pool:
        for key, found in zip(keys, pool.map(partial(entry, seed=chosen.seed), keys), strict=True):
            merge("work_precision", " | ".join(key), found, summarised(found))
            save_peers("work_precision", " | ".join(key), peer_ratios(found))
    print(write_report())


if __name__ == "__main__":
    main()
