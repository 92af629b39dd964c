"""What does log p cost? score_sde's recipe and torchdiffeq's dopri5 against ours, at the same points, in one run.

    python -m benchmarks.likelihood

Distributions with known densities behind the VP process, exact denoisers, float64; the error is the root mean square over points of
(log p - exact) in bits per dimension. A peer solves (x, log det) in the process's own time, the whole batch with one step
size, at rtol = atol = tol, as published: RK45 of scipy with one Rademacher probe (score_sde), dopri5 of torchdiffeq with
one probe or the exact trace (FFJORD), each by reverse mode. `work` is the number of evaluations of the denoiser and of
products with its Jacobian for each point; `ms` the fastest of the turns, interleaved, for each point.

The recipe at 1e-2 shows that its published tolerance gains nothing: the probe is the error. Fixed grids of ours
give no error bar and cost the least; `log_likelihood` finds its own grids and probes, point by point, and states its error.
`recipe at this error` is what score_sde's recipe would have to spend to average its probe's noise down to the error in the
row: its work times the square of the ratio of the errors.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.exact.problems import mixture64, ring8, two
from sde_diffusion.likelihood import flow_log_prob, log_likelihood, upwards
from sde_diffusion.reversal import probability_flow
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sde import VP
from solvers import FixedGrid
from solvers.divergence import Divergence, ExactTrace, Hutchinson
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

SDE, TURNS = VP(), 2
ALPHA = SDE.alpha(SDE.t_min)


@dataclass
class Answer:
    """log p (B,) in the data's units, and the work of a point."""

    value: Tensor
    work: float


@dataclass(frozen=True)
class Problem:
    name: str
    law: Mixture
    x: Tensor

    @property
    def denoiser(self) -> ExactDenoiser:
        return ExactDenoiser(self.law)

    @property
    def end(self):
        return self.law.through(SDE.kernel(SDE.horizon))

    @property
    def size(self) -> int:
        return self.x[0].numel()

    def exact(self) -> Tensor:
        return self.law.through(SDE.kernel(SDE.t_min)).log_prob(ALPHA * self.x) + self.size * math.log(ALPHA)


def problem(name: str, law: Mixture, n: int) -> Problem:
    return Problem(name, law, law.sample(n, torch.Generator().manual_seed(1)))


class PeerField:
    """The drift in VP time and its divergence by reverse mode, counted."""

    def __init__(self, task: Problem, probes: Tensor | None):
        self.field, self.probes, self.size, self.calls = (
            probability_flow(SDE, task.denoiser).equation.drift,
            probes,
            task.size,
            0,
        )

    def __call__(self, t, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        self.calls += 1
        with torch.enable_grad():
            x = state[0].detach().requires_grad_()
            value = self.field(x, float(t))
            if self.probes is not None:
                pulled = torch.autograd.grad(value, x, self.probes)[0]
                return value.detach(), (pulled * self.probes).sum(1)
            rows = [torch.autograd.grad(value[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(self.size)]
        return value.detach(), torch.stack(rows).sum(0)

    def work(self) -> float:
        return self.calls * (1 + (self.size if self.probes is None else 1))


def signs(task: Problem) -> Tensor:
    return torch.randint(2, task.x.shape, generator=torch.Generator().manual_seed(7)).double() * 2 - 1


def finish(task: Problem, x: Tensor, integral: Tensor, work: float) -> Answer:
    return Answer(task.end.log_prob(x) + integral + task.size * math.log(ALPHA), work)


def score_sde(task: Problem, tol: float = 1e-5) -> Answer:
    from scipy.integrate import solve_ivp

    field, (n, d) = PeerField(task, signs(task)), task.x.shape

    def flat(t: float, state: np.ndarray) -> np.ndarray:
        parts = torch.from_numpy(state)
        return torch.cat([p.reshape(-1) for p in field(t, (parts[: n * d].reshape(n, d), parts[n * d :]))]).numpy()

    begin = torch.cat(((ALPHA * task.x).reshape(-1), torch.zeros(n).double())).numpy()
    end = torch.from_numpy(solve_ivp(flat, (SDE.t_min, SDE.horizon), begin, "RK45", rtol=tol, atol=tol).y[:, -1])
    return finish(task, end[: n * d].reshape(n, d), end[n * d :], field.work())


def dopri5(exact: bool, tol: float) -> Callable[[Problem], Answer]:
    def run(task: Problem) -> Answer:
        from torchdiffeq import odeint

        field = PeerField(task, None if exact else signs(task))
        times = torch.tensor([SDE.t_min, SDE.horizon], dtype=torch.float64)
        begin = (ALPHA * task.x, torch.zeros(len(task.x)).double())
        x, integral = odeint(field, begin, times, method="dopri5", rtol=tol, atol=tol)  # pyright: ignore
        return finish(task, x[-1], integral[-1], field.work())

    return run


def grid(steps: int, divergence: Divergence) -> Callable[[Problem], Answer]:
    @torch.no_grad()
    def run(task: Problem) -> Answer:
        form, usual = default_solver(SDE, task.denoiser, steps)
        solver = FixedGrid(PredictEvaluateCorrect(4), steps, upwards(usual.spacing or form.spacing))
        value = flow_log_prob(form.with_prior(task.end), solver, ALPHA * task.x, divergence).mean(1)
        return Answer(value + task.size * math.log(ALPHA), steps * (1 + divergence.cost(task.size)))

    return run


def ours(tol: float) -> Callable[[Problem], Answer]:
    def run(task: Problem) -> Answer:
        found = log_likelihood(SDE, task.denoiser, task.x, tol, prior=task.end)
        return Answer(found.without("truncation").value, found.terms["calls"].mean().item())

    return run


CONTESTANTS: dict[str, Callable[[Problem], Answer]] = {
    "score_sde: RK45 1e-5, one probe": score_sde,
    "the same at 1e-2": partial(score_sde, tol=1e-2),
    "torchdiffeq dopri5 1e-5, one probe": dopri5(False, 1e-5),
    "torchdiffeq dopri5 1e-3, exact trace": dopri5(True, 1e-3),
    "torchdiffeq dopri5 1e-5, exact trace": dopri5(True, 1e-5),
    "grid of 16, one probe": grid(16, Hutchinson(1)),
    "grid of 24, exact trace": grid(24, ExactTrace()),
    "grid of 48, exact trace": grid(48, ExactTrace()),
    "grid of 96, exact trace": grid(96, ExactTrace()),
    "log_likelihood, tol 0.1": ours(0.1),
    "log_likelihood, tol 1e-2": ours(1e-2),
    "log_likelihood, tol 1e-4": ours(1e-4),
}


def timed(run: Callable[[Problem], Answer], task: Problem) -> tuple[Answer, float]:
    start = time.perf_counter()
    answer = run(task)
    return answer, 1000 * (time.perf_counter() - start) / len(task.x)


def rows_of(task: Problem) -> list[list[str]]:
    fastest, answers = dict.fromkeys(CONTESTANTS, math.inf), {}
    for _ in range(TURNS):
        for name, run in CONTESTANTS.items():
            answers[name], ms = timed(run, task)
            fastest[name] = min(fastest[name], ms)
    exact, unit, rows = task.exact(), math.log(2) * task.size, []
    errors = {name: (a.value - exact) / unit for name, a in answers.items()}
    rms = {name: e.square().mean().sqrt().item() for name, e in errors.items()}
    recipe = next(iter(CONTESTANTS))
    for name, answer in answers.items():
        needed = answers[recipe].work * max(1.0, (rms[recipe] / rms[name]) ** 2)
        rows.append([task.name, name, f"{rms[name]:.1e}", f"{errors[name].abs().median().item():.1e}", f"{answer.work:.0f}",
                     f"{fastest[name]:.2f}", f"{needed:.1e}"])  # fmt: skip
    return rows


def main() -> None:
    torch.set_num_threads(1)
    tasks = [problem("two", two(), 200), problem("ring8", ring8(), 200), problem("mixture64", mixture64(), 40)]
    rows = [row for task in tasks for row in rows_of(task)]
    columns = [
        "distribution",
        "by",
        "rms error, bits/dim",
        "median error",
        "work a point",
        "ms a point",
        "recipe at this error",
    ]
    save_table("likelihood", "log p: error against cost", columns, rows, turns=TURNS)


if __name__ == "__main__":
    main()
