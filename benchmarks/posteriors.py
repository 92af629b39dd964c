"""Are posteriors exact? Samples given an observation, against the exact posterior, with an exact denoiser.

    python -m benchmarks.posteriors                  four laws, five kinds of observation, 20, 50 and 100 calls; an hour
    python -m benchmarks.posteriors --law mixture8   one law; the others' rows stay
    python -m benchmarks.posteriors --seed 7         other observations, noise and exact draws
    python -m benchmarks.posteriors --quick          tiny, one law, nothing is written; a minute

A figure is the sliced W2 distance of the samples to exact draws over that of two exact sets: 1 is what exact sampling
reaches. All contestants get the same exact denoiser and the same number of its calls for each sample, and for each call
they may take products of its derivative. "gap" is the mean exact log-density of the samples less that of exact draws, in nats:
above 0 is too concentrated. Means are geometric, over the linear observations and over the nonlinear ones.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.output import load_summary, origin, save_summary, write_table
from benchmarks.peers.azula_posteriors import peers
from benchmarks.posterior_cells import LAWS, Cell, cells
from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.guidance import TwistedWeighting
from sde_diffusion.guidance.twists import Guided
from sde_diffusion.metrics import sliced_wasserstein
from sde_diffusion.posteriors import default_twist
from sde_diffusion.sampling import default_solver, default_weighted_sampler, sample, sample_weighted
from sde_diffusion.sde import VP

NFE, COUNT, PARTICLES, FLOORS = (20, 50, 100), {2: 4000, 8: 4000, 64: 2000}, 16, 4
Draw = Callable[[Cell, int, int, int], tuple[Tensor, float]]
"""(cell, nfe, n, seed) -> samples (n, d), and the estimate of log p(y) or NaN."""


def particles(cell: Cell, nfe: int, n: int, seed: int) -> tuple[Tensor, float]:
    """The default of `model.posterior`: sets of 16."""
    weighting = TwistedWeighting(ExactDenoiser(cell.law), default_twist(cell.observation))
    found = sample_weighted(
        lambda oracle: default_weighted_sampler().build(VP(), oracle, nfe=nfe, data_std=deviation(cell.law)),
        weighting,
        (n, *cell.law.event_shape),
        seed,
        particles=PARTICLES,
        chunk=1600,
        dtype=torch.float64,
    )
    return found.x, found.log_evidence


def twist_alone(cell: Cell, nfe: int, n: int, seed: int) -> tuple[Tensor, float]:
    """The same twist as guidance of the default sampler, each sample by itself."""
    return _deterministic(cell, Guided(ExactDenoiser(cell.law), default_twist(cell.observation)), nfe, n, seed)


def exact_denoiser(cell: Cell, nfe: int, n: int, seed: int) -> tuple[Tensor, float]:
    """The posterior's own denoiser, which is known for linear observations: what no guidance can surpass."""
    if not isinstance(cell.posterior, Mixture):
        return torch.empty(0), math.nan
    return _deterministic(cell, ExactDenoiser(cell.posterior), nfe, n, seed)


def _deterministic(cell: Cell, denoiser: Any, nfe: int, n: int, seed: int) -> tuple[Tensor, float]:
    built = default_solver(VP(), denoiser, nfe, deviation(cell.law))
    return sample(*built, (n, *cell.law.event_shape), seed, dtype=torch.float64), math.nan


OURS: dict[str, Draw] = {
    f"particles, sets of {PARTICLES}": particles,
    "twist alone": twist_alone,
    "exact posterior denoiser": exact_denoiser,
}


def deviation(law: Mixture) -> float:
    return law.variance.mean().sqrt().item()


def floor(cell: Cell, n: int, seed: int) -> tuple[list[Tensor], float]:
    """Exact sets, and the mean distance between two of them."""
    sets = [cell.posterior.sample(n, torch.Generator().manual_seed(100 * seed + i)) for i in range(2 * FLOORS)]
    return sets, statistics.fmean(sliced_wasserstein(sets[2 * i], sets[2 * i + 1]) for i in range(FLOORS))


def measured(name: str, draw: Draw, law: str, nfes: tuple[int, ...], n: int, seed: int) -> list[list[Any]]:
    """One row a cell and budget: contestant, law, observation, linear, calls, ratio, gap, error of log p(y)."""
    rows = []
    for cell in cells(law, seed):
        sets, unit = floor(cell, n, seed)
        exact_log = cell.posterior.log_prob(torch.cat(sets)).mean()
        for nfe in nfes:
            x, evidence = draw(cell, nfe, n, seed)
            if not len(x):
                continue
            if not bool(x.isfinite().all()):
                rows.append([name, law, cell.name, cell.linear, nfe, None, None, None])
                continue
            ratio = statistics.fmean(sliced_wasserstein(x, one) for one in sets[:FLOORS]) / unit
            gap = (cell.posterior.log_prob(x).mean() - exact_log).item()
            error = None if math.isnan(evidence) else evidence - cell.log_evidence
            rows.append([name, law, cell.name, cell.linear, nfe, ratio, gap, error])
    return rows


def table(rows: list[list[Any]], nfes: tuple[int, ...]) -> list[list[str]]:
    """A line for each law, kind and contestant: geometric mean and worst ratio, median gap, root mean square of log p(y)."""
    keys = dict.fromkeys((row[1], row[3], row[0]) for row in rows)
    return [
        [
            law,
            "linear" if linear else "nonlinear",
            name,
            *(summary([r for r in rows if (r[1], r[3], r[0], r[4]) == (law, linear, name, nfe)]) for nfe in nfes),
        ]
        for law, linear, name in keys
    ]


def packed(rows: list[list[Any]]) -> list[list[Any]]:
    """One row for all budgets of a contestant and cell."""
    found: dict[tuple[Any, ...], list[list[Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[:4]), []).append(row[4:])
    return [[*key, budgets] for key, budgets in found.items()]


def unpacked(rows: list[list[Any]]) -> list[list[Any]]:
    """The inverse of `packed`."""
    return [[*row[:4], *budget] for row in rows for budget in row[4]]


def summary(rows: list[list[Any]]) -> str:
    if not rows:
        return "-"
    if any(row[5] is None for row in rows):
        return "not finite"
    ratios = [row[5] for row in rows]
    words = (
        f"{statistics.geometric_mean(ratios):.1f}, {max(ratios):.1f}; {statistics.median(row[6] for row in rows):+.2f}"
    )
    errors = [row[7] for row in rows if row[7] is not None]
    return words + (f"; {math.sqrt(statistics.fmean(e * e for e in errors)):.2f}" if errors else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--law", choices=LAWS)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    laws, nfes = [given.law] if given.law else ["two"] if given.quick else list(LAWS), (20,) if given.quick else NFE
    known = {} if given.quick else load_summary("posteriors")
    kept = [row for row in unpacked(known.get("rows", [])) if row[1] not in laws and known.get("seed") == given.seed]
    rows = kept + [
        row
        for law in laws
        for name, draw in {**OURS, **peers()}.items()
        for row in measured(
            name, draw, law, nfes, 320 if given.quick else COUNT[LAWS[law]().centres.shape[1]], given.seed
        )
    ]
    report(rows, nfes, given.seed, write=not given.quick)


def report(rows: list[list[Any]], nfes: tuple[int, ...], seed: int, write: bool) -> None:
    """Print the table; write it, and the rows."""
    columns = ["law", "observed", "contestant", *(f"{nfe} calls" for nfe in nfes)]
    title = "Sliced W2 to the exact posterior over its floor: mean, worst; gap in nats; error of log p(y)"
    if not write:
        print(title, *(" | ".join(line) for line in table(rows, nfes)), sep="\n")
        return
    about = origin("posteriors")
    names = ["contestant", "law", "observed", "linear", "of each: calls, ratio, gap, error of log p(y)"]
    save_summary("posteriors", {**about, "seed": seed, "columns": names, "rows": packed(rows)}, digits=3)
    write_table("posteriors", title, columns, table(rows, nfes), about)


if __name__ == "__main__":
    main()
