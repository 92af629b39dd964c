"""Tuning on the network of the stage `quality`: error against calls, beside the default rule and the peers' samplers.

An error is the root mean square distance, in standard deviations of the data, between a sampler's end and that of the flow from
the same x_T, which the default rule finds with `REFERENCE` calls. The points are drawn after the tuning. Peers run each solver on
two grids; "best peer" is picked afterwards, for each number of calls. All is computed in float32 without TF32.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import product

import torch
from torch import Tensor

from benchmarks.gpu.record import Record, sentence
from benchmarks.gpu.stage import Job, Part
from benchmarks.gpu.stages.quality import loaded
from benchmarks.peers.base import Peer
from benchmarks.work_precision import GRIDS, LIBRARIES
from sde_diffusion import DiffusionModel
from sde_diffusion.kernel import Kernel
from sde_diffusion.report.plots.cost import Line, Panel, cost_plot
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.training.precision import tf32_policy
from sde_diffusion.tuning.tune import TuneSettings, tune
from solvers.random import mix, normals

REFERENCE = 200
CALLS = {5: 2, 8: 3, 12: 4}
"""Budgets, and those of a quick run in their place."""
GRIDS_OF_PEERS = ("Karras", "cosine")
TITLE = "Root mean square distance to the flow's end, on points that no tuning has seen"
COLUMNS = ["calls", "tuned", "default rule", "best peer", "which", "seconds of tuning", "iterations"]


@dataclass(frozen=True)
class Points:
    """x_T (B, *E) of a model's flow, and its ends."""

    model: DiffusionModel
    x: Tensor
    ends: Tensor

    def error(self, x: Tensor) -> float:
        """Root mean square; NaN for what is not a number."""
        return (x - self.ends).square().mean().sqrt().item() / self.model.std


@torch.no_grad()
def points(model: DiffusionModel, job: Job) -> Points:
    """Fresh ones: their keys are no sample's of a tuning."""
    keys = mix(torch.arange(job.scaled(4, 128), device=job.device), 0x504F494E5453)
    x = model.prior.from_noise(normals(keys, model.event_shape))
    form, solver = default_solver(model.sde, model.denoiser, job.scaled(10, REFERENCE), model.std)
    return Points(model, x, form.with_prior(model.prior).solve(solver, x))


def tuned(calls: int, job: Job, record: Record) -> None:
    """A row for this number of calls."""
    with tf32_policy("float32"):
        compared(loaded(job), job.scaled(CALLS[calls], calls), job, record)
    draw(job, record)


def compared(model: DiffusionModel, nfe: int, job: Job, record: Record) -> None:
    """A tuned solver, the default rule and the peers at `nfe` calls."""
    began = time.perf_counter()
    given = points(model, job)
    found = tuning(model, nfe, job)
    seconds = time.perf_counter() - began
    with torch.no_grad():
        form = found.reversal(model.sde, model.denoiser)
        error = given.error(form.solve(found.solver(), given.x))
        form, solver = default_solver(model.sde, model.denoiser, nfe, model.std)
        rule = given.error(form.solve(solver, given.x))
    best, name = min(peers(given, nfe, job, record), default=(math.nan, "none is installed"))
    for who, value in (("tuned", error), ("default rule", rule), ("best peer", best)):
        record.figure(f"{who}, {nfe} calls", value)
    record.row(
        TITLE,
        COLUMNS,
        [
            str(nfe),
            f"{error:.3g}",
            f"{rule:.3g}",
            f"{best:.3g}",
            name,
            f"{seconds:.0f}",
            str(found.record["iterations"]),
        ],
    )


def tuning(model: DiffusionModel, nfe: int, job: Job):
    """The tuned solver, of as many iterations as a third of the time that is left allows: one from each start tells how many."""
    trajectories, most = job.scaled(2, 32), job.scaled(1, 12)
    run = partial(
        tune,
        model.denoiser,
        model.sde,
        nfe,
        model.event_shape,
        data_std=model.std,
        prior=model.prior,
        device=job.device,
    )
    calls = job.scaled(10, REFERENCE)
    began = time.perf_counter()
    found = run(TuneSettings(1, trajectories, calls))
    each = time.perf_counter() - began
    iterations = min(most, int(job.left() / 3 / max(each, 1e-3)))
    return run(TuneSettings(iterations, trajectories, calls)) if iterations > 1 else found


@torch.no_grad()
def peers(given: Points, nfe: int, job: Job, record: Record) -> Iterator[tuple[float, str]]:
    """(error, name) of each setting that costs so many calls."""
    warnings.filterwarnings("ignore")
    for library, module in LIBRARIES.items():
        if job.quick and library != "azula":
            continue
        try:
            solvers = list(import_module(f"benchmarks.peers.{module}").peers())
        except ImportError as error:
            record.note(f"{library} is left out: {sentence(error)}")
            continue
        for peer, grid in product(solvers[: job.scaled(2, len(solvers))], GRIDS_OF_PEERS):
            steps = peer.steps(nfe)
            error = math.nan if steps is None else ends(peer, grid, steps, given)
            if math.isfinite(error):
                yield error, f"{library} {peer.solver}, {grid}"


def ends(peer: Peer, grid: str, steps: int, given: Points) -> float:
    """The error of one setting; NaN where it fails. Its state is x/alpha, float32 on the device, and its levels are float64."""
    sde, model = given.model.sde, given.model
    first, last = sde.kernel(sde.horizon), sde.kernel(sde.t_min)
    kappas = GRIDS[grid](float(first.sigma / first.alpha), float(last.sigma / last.alpha), steps)

    def denoise(y: Tensor, kappa: float) -> Tensor:
        return model.denoiser(y.to(given.x), Kernel(1.0, kappa)).to(y)

    for levels in (
        kappas,
        kappas.to(given.x.device),
    ):  # some schedulers want their table on the CPU, some on the device
        try:
            y = peer.run(denoise, given.x / first.alpha, levels)
        except Exception:
            continue
        return given.error((last.alpha * y).to(given.x))
    return math.nan


def draw(job: Job, record: Record) -> None:
    """The picture of the rows so far."""
    figures = record.found["figures"]
    lines = []
    for who in ("tuned", "default rule", "best peer"):
        budgets = [nfe for pair in CALLS.items() for nfe in pair if f"{who}, {nfe} calls" in figures]
        known = {nfe: figures[f"{who}, {nfe} calls"] for nfe in sorted(budgets)}
        if known:
            lines.append(Line(who, list(known), list(known.values())))
    path = cost_plot([Panel("Fashion-MNIST", "distance to the flow's end", lines)], job.folder / "gpu-tuning.png")
    if path.name not in record.found["pictures"]:
        record.picture(path)


PARTS = tuple(Part(f"tuned to {calls} calls", partial(tuned, calls), needs=1.5 * calls, limit=60) for calls in CALLS)
