"""What an adaptive step size costs beside a fixed grid of the same pair, at equal error.

    python -m benchmarks.adaptive                   everything, about ten minutes on one core
    python -m benchmarks.adaptive --problem two     one problem

Exact problems: `two`, `ring8`, and `unequal`, whose three modes differ by 100 in width, so that samples differ in
difficulty. Each flow of the library is integrated as an ODE in its own time
variable, from points drawn by a seed of this run. The error is the root mean square distance to the exact end points, the
cost the mean number of field evaluations for a sample.

A fixed grid is uniform in the equation's time variable; "best grid" is the best, at each error, of that, equal steps of log SNR,
and the grid quadratic in VP time, picked afterwards. A curve's cost at an error is where it falls below it for good,
between neighbouring settings by a straight line of logarithms: no lucky setting counts, on either side.
torchdiffeq's dopri5 (one step size for the batch) stands beside them where it is installed.

Writes the summary results/adaptive.json, and .md and .png from it; raw/adaptive.json.gz has every point of the curves.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.adaptive_report import summarised, write_report
from benchmarks.output import load_raw, load_summary, save_raw, save_summary
from benchmarks.work_precision_problems import RANGES
from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.law import Law
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.exact.reference_flow import flow_end_point
from sde_diffusion.reversal import Reversal, data_form, in_log_snr, noise_form, probability_flow, velocity_form
from sde_diffusion.reversal.grids import quadratic_in_vp_time
from solvers import ODE, FixedGrid, uniform
from solvers.adaptive import Adaptive
from solvers.as_ode import as_ode
from solvers.method import Embedded
from solvers.methods.bosh3 import Bosh3
from solvers.methods.dopri5 import Dopri5
from solvers.methods.tsit5 import Tsit5

POINTS = 256
TIGHT = 5e-7
"""A curve is followed until its error is this small, or its cost"""
DEAR = 800


def unequal() -> Mixture:
    """Three modes of standard deviation 0.5, 0.05 and 0.005."""
    return Mixture([0.4, 0.3, 0.3], [[-1.0, 0.0], [1.0, 0.5], [0.3, -1.0]], [0.5**2, 0.05**2, 0.005**2])


PROBLEMS = {"two": two, "ring8": ring8, "unequal": unequal}
FORMS = {"VP time": probability_flow, "velocity": velocity_form, "data": data_form, "noise": noise_form}
PAIRS: dict[str, Embedded] = {"Bosh3": Bosh3(), "Dopri5": Dopri5(), "Tsit5": Tsit5()}
STEPS = [*range(2, 17), *(round(16 * 2 ** (k / 4)) for k in range(1, 17))]
TOLERANCES = [10 ** (-k / 4) for k in range(4, 37)]
Point = dict[str, float]


class Task(NamedTuple):
    """A flow as an ODE, the states it starts from, and the distance of its end to the truth."""

    form: Reversal
    ode: ODE
    start: Tensor
    exact: Tensor

    def error(self, y: Tensor) -> float:
        """Root mean square over samples and coordinates; nan for an overflow."""
        return (self.form.from_chart(y, self.form.stop) - self.exact).square().mean().sqrt().item()


@cache
def points(problem: str, span: str, seed: int) -> tuple[Law, Tensor, Tensor]:
    """The distribution, the points at the horizon, and where the exact flow takes them."""
    law, sde = PROBLEMS[problem](), RANGES[span]
    noise = torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = sde.prior().from_noise(noise)
    return law, x, flow_end_point(law, sde.kernel, x, sde.horizon, sde.t_min, tol=1e-10)


def task(problem: str, span: str, form: str, seed: int) -> Task:
    """One flow of one problem."""
    law, x, exact = points(problem, span, seed)
    reversal = FORMS[form](RANGES[span], ExactDenoiser(law))
    equation = as_ode(reversal.equation, "the benchmark")
    return Task(reversal, equation, reversal.to_chart(x, reversal.start), exact)


def followed(settings: Iterator[Point]) -> list[Point]:
    """The points of a curve, to the end that matters."""
    curve = []
    for point in settings:
        curve.append(point)
        if point["error"] < TIGHT or point["cost"] > DEAR:
            break
    return curve


def fixed(given: Task, pair: Embedded, spacing: Any) -> Iterator[Point]:
    for steps in STEPS:
        y = FixedGrid(pair, steps, spacing)(given.ode, given.start, given.form.start, given.form.stop)
        yield {"steps": steps, "cost": steps * pair.evaluations, "error": given.error(y)}


def adaptive(given: Task, pair: Embedded) -> Iterator[Point]:
    for tol in TOLERANCES:
        found = Adaptive.tol(pair, tol).solve(given.ode, given.start, given.form.start, given.form.stop)
        cost = found.evaluations.double()
        yield {
            "tol": tol,
            "cost": cost.mean().item(),
            "least": cost.min().item(),
            "most": cost.max().item(),
            "rejected": (found.rejected.sum() / (found.rejected + found.accepted).sum()).item(),
            "error": given.error(found.x),
            "estimate": found.error.square().mean().sqrt().item(),
        }


def coupled(given: Task) -> Iterator[Point]:
    from solvers.backends.torchdiffeq import Torchdiffeq

    for tol in TOLERANCES:
        try:
            found = Torchdiffeq("dopri5", tol, tol).solve(given.ode, given.start, given.form.start, given.form.stop)
        except (ValueError, ArithmeticError) as reason:  # its first step may leave the span, and the flow
            print(f"torchdiffeq at {tol:.1e}: {reason}")
            continue
        yield {"tol": tol, "cost": found.evaluations, "error": given.error(found.state)}


def spacings(span: str, form: Reversal) -> dict[str, Any]:
    """The fixed grids, in the flow's time variable."""
    sde, clock = RANGES[span], form.clock
    return {"uniform": uniform, "log SNR": in_log_snr(sde, clock), "VP time": quadratic_in_vp_time(sde, clock)}


def measured(problem: str, span: str, form: str, seed: int) -> dict[str, Any]:
    """All curves of one flow."""
    given = task(problem, span, form, seed)
    curves: dict[str, Any] = {}
    for name, pair in PAIRS.items():
        grids = {key: followed(fixed(given, pair, grid)) for key, grid in spacings(span, given.form).items()}
        curves[name] = {"adaptive": followed(adaptive(given, pair)), "fixed": grids}
    if installed("torchdiffeq"):
        curves["Dopri5"]["torchdiffeq"] = followed(coupled(given))
    return curves


def installed(library: str) -> bool:
    try:
        return bool(metadata.version(library))
    except metadata.PackageNotFoundError:
        print(f"{library} is not installed and is left out; pip install {library}")
        return False


def main() -> None:
    """Run the chosen problems and rewrite the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=PROBLEMS, action="append", help="repeat for several; all by default")
    parser.add_argument("--seed", type=int, default=20261122, help="of the points x_T")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.processor()}
    record = {"command": "python -m benchmarks.adaptive", "seed": chosen.seed, "points": POINTS, "machine": machine}
    raw, flows = (load("adaptive").get("flows", {}) for load in (load_raw, load_summary))
    for problem, span, form in product(chosen.problem or PROBLEMS, RANGES, FORMS):
        if span == "EDM" and form == "VP time":
            continue
        key, flow = f"{problem} | {span} | {form}", measured(problem, span, form, chosen.seed)
        raw[key], flows[key] = flow, summarised(flow)
        save_raw("adaptive", {**record, "flows": raw})
        save_summary("adaptive", {**record, "flows": flows})
        print(f"{problem}, {span}, {form}: done", flush=True)
    print(write_report())


if __name__ == "__main__":
    main()
