"""Stochastic samplers against exact distributions: mean log-density and sliced Wasserstein-2, with intervals and baselines.

    python -m benchmarks.stochastic                           ring8 and two, VP and EDM: about half an hour on one free core
    python -m benchmarks.stochastic --problem ring8 --range VP          one of the four; the others' figures are kept

Every run starts from the exact distribution at the horizon and ends on x at t_min, whose exact distribution is the target. "gap" is the mean
exact log-density of the samples less the exact mean, in nats, with the 95% half-width of its sampling error; zero is right,
above it the samples are too narrow. The sliced distance to exact samples comes with its 95% half-width, by halves of both sets
(`sde_diffusion.metrics.half_samples`), and has its baselines in the last rows: that of another exact set, and the distance that 95%
of 40 exact sets are below. A smaller distance cannot be distinguished from exact.

The budgets are denoiser calls a sample. "ours, 200,000" repeats the default rule with more samples, to
resolve a hundredth of a nat.

The peers (k-diffusion, diffusers, azula) run through their public interfaces on the same levels, geometric and Karras's, and
start from the same states. All draw independent noise but DPMSolverSDE, which comes with its Brownian tree.
`benchmarks/peers/` says what an adapter replaces.

Writes results/stochastic.json, .md and .png.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, product

import torch
from torch import Tensor

from benchmarks.output import load_summary, origin, save_picture, save_summary, write_table
from benchmarks.peers import azula_peers, diffusers_noisy_peers, k_diffusion_peers
from benchmarks.peers.base import Peer
from benchmarks.work_precision_problems import RANGES
from sde_diffusion.exact import ExactDenoiser, Law
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.kernel import Kernel
from sde_diffusion.metrics import sliced_wasserstein
from sde_diffusion.metrics.half_samples import half_sampled
from sde_diffusion.reversal import (
    ancestral,
    data_form,
    ddim,
    in_log_snr,
    predictor_corrector,
    reverse_sde,
)
from sde_diffusion.reversal import (
    edm_churn as churned,
)
from sde_diffusion.sampling.default_sde import default_stochastic_solver
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import LinearSDE
from solvers import (
    Ancestral,
    EulerMaruyama,
    ExponentialEuler,
    FixedGrid,
    FreshIncrements,
    StochasticHeun,
    geometric,
    power,
)
from solvers.methods.churn import Churn
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.methods.predictor_corrector import PredictorCorrector
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams
from solvers.methods.stochastic_exponential_runge_kutta import StochasticExponentialRungeKutta

N, MANY, MEAN = 20_000, 200_000, 500_000
"""Samples of a run, of the rule resolved, and of the exact mean."""
DIRECTIONS, PAIRS, RESAMPLES = 64, 40, 25
BUDGETS = (20, 35, 50)
LAWS = {"ring8": ring8, "two": two}
Result = tuple[float, float, float, float]
"""gap, its half-width, sliced distance, its half-width."""


def corrected(sde, denoiser):
    return predictor_corrector(reverse_sde(sde, denoiser), sde, denoiser)


def noisy(eta: float):
    return lambda sde, denoiser: data_form(sde, denoiser, eta)


SAMPLERS = {
    "reverse SDE, Euler-Maruyama": (reverse_sde, EulerMaruyama()),
    "reverse SDE, stochastic Heun": (reverse_sde, StochasticHeun()),
    "predictor-corrector": (corrected, PredictorCorrector(EulerMaruyama())),
    "ancestral (DDPM)": (ancestral, Ancestral()),
    "DDIM(0.5)": (lambda sde, denoiser: ddim(sde, denoiser, 0.5), Ancestral()),
    "churn 10, Heun (EDM)": (churned, Churn(10.0)),
    "data form, exponential Euler": (noisy(1.0), ExponentialEuler()),
    "data form, Adams 2 (2M)": (noisy(1.0), StochasticExponentialAdams(2)),
    "data form, Adams 3 (3M)": (noisy(1.0), StochasticExponentialAdams(3)),
    "data form, PEC 2 (SA-Solver)": (noisy(1.0), PredictEvaluateCorrect(2)),
    "data form, Runge-Kutta (SEEDS)": (noisy(1.0), StochasticExponentialRungeKutta()),
    "data form eta 0.5, Adams 2": (noisy(0.5), StochasticExponentialAdams(2)),
}
"""All in equal steps of log(sigma/alpha); the second call of a step of the corrector is the correction's."""
CALLS = {"predictor-corrector": 2}


class ExactStart:
    """The exact distribution at the horizon in the prior's place."""

    def __init__(self, law: Law, sde: LinearSDE):
        self.law = law.through(sde.kernel(sde.horizon))

    def from_noise(self, noise: Tensor) -> Tensor:
        return self.law.sample(len(noise), torch.Generator().manual_seed(5)).to(noise)


@cache
def truth(law: str, span: str) -> tuple[Law, float, Tensor, Tensor]:
    """The distribution at t_min, its mean log-density, and two sets of exact samples."""
    sde = RANGES[span]
    target = LAWS[law]().through(sde.kernel(sde.t_min))
    sets = [target.sample(n, torch.Generator().manual_seed(k)) for k, n in ((1, MEAN), (11, N), (12, N))]
    return target, target.log_prob(sets[0]).mean().item(), sets[1], sets[2]


def judged(law: str, span: str, x: Tensor) -> Result:
    target, exact, truly, _ = truth(law, span)
    log_prob = target.log_prob(x)
    half = 1.96 * log_prob.std().item() / math.sqrt(len(x))
    return log_prob.mean().item() - exact, half, *sliced(x[:N], truly)


def sliced(x: Tensor, truly: Tensor) -> tuple[float, float]:
    """The sliced distance and the half-width of its normal interval; not a number for samples that are not numbers."""
    if not x.isfinite().all():
        return math.nan, math.nan
    found = half_sampled(lambda a, b: (sliced_wasserstein(a, b, DIRECTIONS),), x, truly, resamples=RESAMPLES)[0]
    return found.value, 1.96 * found.error


def solved(law: str, span: str, reversal, solver, n: int = N) -> Result:
    start = ExactStart(LAWS[law](), RANGES[span])
    x = sample(
        reversal.without_final_denoise().with_prior(start),
        solver,
        (n, 2),
        3,
        noise=FreshIncrements,
        chunk=n,
        dtype=torch.float64,
    )
    return judged(law, span, x)


def ours(law: str, span: str) -> Iterator[tuple[str, Callable[[int], Result]]]:
    sde, denoiser = RANGES[span], ExactDenoiser(LAWS[law]())
    for name, (make, method) in SAMPLERS.items():
        reversal, calls = make(sde, denoiser), CALLS.get(name, method.evaluations)

        def run(nfe: int, reversal=reversal, method=method, calls=calls) -> Result:
            solver = FixedGrid(method, nfe // calls, in_log_snr(sde, reversal.clock))
            return solved(law, span, reversal, solver)

        yield f"ours: {name}", run
    yield (
        "ours: default_stochastic_solver",
        lambda nfe: solved(law, span, *default_stochastic_solver(sde, denoiser, nfe)),
    )


def theirs(law: str, span: str) -> Iterator[tuple[str, Callable[[int], Result]]]:
    libraries = k_diffusion_peers, diffusers_noisy_peers, azula_peers
    for peer in chain.from_iterable(library.noisy_peers(3) for library in libraries):
        for grid, spacing in (("geometric", geometric), ("Karras", power(7))):
            yield (
                f"{peer.library}: {peer.solver}, {grid}",
                lambda nfe, p=peer, s=spacing: peer_run(law, span, p, s, nfe),
            )


def peer_run(law: str, span: str, peer: Peer, spacing, nfe: int) -> Result:
    sde, denoiser = RANGES[span], ExactDenoiser(LAWS[law]())
    first, last = (sde.sigma(t) / sde.alpha(t) for t in (sde.horizon, sde.t_min))
    y = ExactStart(LAWS[law](), sde).from_noise(torch.empty(N, 2, dtype=torch.float64)) / sde.alpha(sde.horizon)
    y = peer.run(lambda x, kappa: denoiser(x, Kernel(1.0, kappa)), y, spacing(first, last, nfe // peer.calls))
    return judged(law, span, sde.alpha(sde.t_min) * y)


def rows_of(law: str, span: str) -> Iterator[tuple[str, list[Result]]]:
    for name, run in (*ours(law, span), *theirs(law, span)):
        yield name, [run(nfe) for nfe in BUDGETS]
    rule = default_stochastic_solver
    sde, denoiser = RANGES[span], ExactDenoiser(LAWS[law]())
    yield (
        "ours: default_stochastic_solver, 200,000",
        [solved(law, span, *rule(sde, denoiser, nfe), n=MANY) for nfe in BUDGETS[:2]],
    )
    yield from floors(law, span)


def floors(law: str, span: str) -> Iterator[tuple[str, list[Result]]]:
    """The distance of two exact sets, and what it is below in 95% of `PAIRS` sets against the one of the table."""
    target, _, one, other = truth(law, span)
    yield "baseline: two exact sets", [(0.0, 0.0, *sliced(one, other))]
    sets = (target.sample(N, torch.Generator().manual_seed(100 + k)) for k in range(PAIRS))
    distances = torch.tensor([sliced_wasserstein(one, exact, DIRECTIONS) for exact in sets])
    yield f"baseline: 95% of {PAIRS} exact sets below", [(0.0, 0.0, distances.quantile(0.95).item(), 0.0)]


def plot(cells: dict[str, dict[str, list[Result]]]) -> None:
    """|gap| against the budget, with its half-width, a panel for each distribution and range."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = (
        "Euler-Maruyama",
        "DDPM",
        "churn",
        "Adams 2 (2M)",
        "SEEDS",
        "solver",
        "2m_sde, geo",
        "3m_sde, geo",
        "euler_anc",
        "dpmsolver++ 2, geo",
        "dpmsolver 2, geo",
        "SA-Solver 3, geo",
        "DPMSolverSDE, geo",
        "azula: Ito, geo",
    )
    dashes = {"k": "--", "d": ":", "a": "-."}
    figure, axes = plt.subplots(2, 2, figsize=(11, 9.5), squeeze=False)
    for axis, (title, rows) in zip(axes.flat, cells.items(), strict=False):
        for k, word in enumerate(shown):
            name = next((name for name in rows if word in name), None)
            if name is None:  # a cell of an earlier run
                continue
            gaps, halves = ([abs(r[i]) for r in rows[name]] for i in (0, 1))
            dashed = dashes.get(name[0], "-")
            axis.errorbar(BUDGETS, gaps, yerr=halves, color=f"C{k % 10}", ls=dashed, marker="o", ms=3, lw=1, label=name)
        axis.axhline(0.01, color="k", lw=0.5)
        axis.set(title=title, yscale="symlog", ylim=(0, 20), xlabel="denoiser calls", ylabel="|gap| in nats, 95%")
        axis.set_yscale("symlog", linthresh=0.02)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), fontsize=8, ncols=3, loc="lower center")
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    save_picture(figure, "stochastic")


def written(law_and_range: str, name: str, results: list[Result]) -> list[str]:
    gaps = [f"{gap:+.4f} +- {half:.4f}" if half else "0" for gap, half, *_ in results]
    distances = [f"{distance:.4f}" + (f" +- {half:.4f}" if half else "") for *_, distance, half in results]
    blank = [""] * (len(BUDGETS) - len(results))
    return [law_and_range, name, *gaps, *blank, *distances, *blank]


def recorded(cells: dict[str, dict[str, list[list[float]]]]) -> dict[str, dict[str, list[Result]]]:
    """The figures of earlier runs; those made before the distance had an interval have none."""

    def whole(gap: float, half: float, distance: float, interval: float = 0.0) -> Result:
        return gap, half, distance, interval

    return {cell: {name: [whole(*r) for r in found] for name, found in rows.items()} for cell, rows in cells.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=LAWS, action="append", help="repeat for several; all by default")
    parser.add_argument("--range", choices=RANGES, action="append", help="of noise levels; all by default")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cells, about = recorded(load_summary("stochastic").get("cells", {})), origin("stochastic")
    columns = ["problem", "sampler", *(f"gap, {nfe}" for nfe in BUDGETS), *(f"sliced W2, {nfe}" for nfe in BUDGETS)]
    for law, span in product(chosen.problem or LAWS, chosen.range or RANGES):
        cells[f"{law}, {span}"] = dict(rows_of(law, span))
        rows = [written(cell, name, found) for cell, results in cells.items() for name, found in results.items()]
        save_summary("stochastic", {**about, "cells": cells}, digits=12)
        write_table("stochastic", f"Stochastic samplers, {N} samples", columns, rows, about)
        plot(cells)


if __name__ == "__main__":
    main()
