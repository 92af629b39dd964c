r"""The numbers of `default_solver`: how they are fitted, on distributions that no benchmark shows.

    python -m benchmarks.default_rule --fields 2 --budgets 5 12         one range of budgets, about ten minutes
    python -m benchmarks.default_rule --fields 5 --budgets 35 100

Prints the range's line of `sde_diffusion.sampling.default_ode.RANGES`. The weight c and the logarithms of the density at LEVELS,
both linear in the logarithm of the budget, descend the gradient (Adam) of

    mean of l + 0.3 max(l, 0)^2,    l = log(error / error of the best of `PEERS`),                                 (1)

over the distributions of `default_rule_laws`, both ranges of noise levels and the budgets, a handful of cells a step. PEERS are the
settings that between them are within 1% of the best of all 198 of the work-precision benchmark. The share of wrong images
has no gradient: in its place stands the mean of d^2/(d^2 + r^2), with d the distance from the right end and r half the
median distance of neighbouring images.

The recorded numbers are those of such runs, with grey and colour patches and another order of the distributions; a run here ends
within a few hundredths of their objective, not on their digits.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from rich.progress import track
from torch import Tensor

from benchmarks.default_rule_laws import LAWS
from benchmarks.work_precision import GRIDS, installed_peers, theirs
from benchmarks.work_precision_problems import RANGES, Cell, drawn, rms
from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.empirical import Empirical
from sde_diffusion.kernel import Kernel
from sde_diffusion.sampling.default_ode import LEVELS

BUDGETS = (5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 35, 50, 70, 100)
PEERS = (
    *(("azula", f"vAB {k}", "quadratic VP time") for k in (3, 4, 5)),
    ("azula", "vAB 5", "Karras"),
    ("azula", "vAB 5", "VP time"),
    ("azula", "zEAB 3", "geometric"),
    ("azula", "vAB 2", "cosine"),
    ("azula", "vAB 4", "cosine"),
    ("diffusers", "UniPC 3 bh2 data, low-order end", "cosine"),
    ("diffusers", "UniPC 2 bh2 data", "cosine"),
    ("diffusers", "iPNDM 3", "geometric"),
    ("diffusers", "iPNDM 3", "quadratic VP time"),
    ("diffusers", "dpmsolver 2M", "quadratic VP time"),
)
START = ((-3.0, -2.5, -0.8, 0.4, 0.5, 1.5, 1.2, 0.7, -0.7, -1.1, -1.8), 2.5)
CELLS, PENALTY, RATES = 22, 0.3, (0.06, 0.8, 0.97)
PLACES = torch.tensor(LEVELS, dtype=torch.float64).log()
FINE = torch.linspace(PLACES[0].item(), PLACES[-1].item(), 500, dtype=torch.float64)


@dataclass
class Task:
    """A cell, the radius of its images (0 for other distributions), and the best peer's error at each budget."""

    given: Cell
    radius: float
    peers: dict[int, float]

    def error(self, x: Tensor) -> Tensor:
        """What the fit lowers, of ends x at t_min."""
        squares = (x - self.given.exact).square().flatten(1)
        if self.radius:
            distances = squares.sum(1)
            return (distances / (distances + self.radius**2)).mean() + 0.5 / len(x)
        if self.given.problem.error is rms:
            return squares.mean().sqrt()
        return squares.mean(1).log().mean().div(2).exp()

    def loss(self, numbers: Tensor, fields: int, nfe: int) -> Tensor:
        """l of (1)."""
        return (self.error(end(self.given, numbers, fields, nfe)) / self.peers[nfe]).log()


def task(key: tuple[str, str], seed: int, budgets: Sequence[int]) -> Task:
    """Points, exact ends and the peers' errors."""
    given = drawn(LAWS[key[0]], RANGES[key[1]], seed + list(LAWS).index(key[0]))
    found = Task(given, radius(given), {})
    with torch.no_grad():
        for nfe in budgets:
            ends = (
                theirs(peer, GRIDS[grid], steps)(given, ExactDenoiser(given.law))
                for peer, grid in product(installed_peers(), GRIDS)
                if (peer.library, peer.solver, grid) in PEERS and (steps := peer.steps(nfe))
            )
            found.peers[nfe] = min(found.error(x).item() for x in ends if x.isfinite().all())
    return found


def radius(given: Cell) -> float:
    """Half the median distance of neighbouring images."""
    if not isinstance(given.law, Empirical):
        return 0.0
    distances = torch.cdist(given.law.points, given.law.points).fill_diagonal_(math.inf)
    return distances.amin(1).median().item() / 2


def grid(logs: Tensor, given: Cell, steps: int) -> Tensor:
    """`by_density` of log densities at LEVELS, by the trapezoidal rule, so that gradients reach them."""
    place = (FINE - PLACES[0]) / (PLACES[1] - PLACES[0])
    left = place.floor().clamp(0, len(LEVELS) - 2).long()
    density = torch.lerp(logs[left], logs[left + 1], place - left).exp()
    counts = torch.cat([torch.zeros(1, dtype=torch.float64), ((density[1:] + density[:-1]) / 2).cumsum(0)])
    first, last = (given.sde.kernel(t) for t in (given.sde.horizon, given.sde.t_min))
    ends = torch.tensor([first.sigma / first.alpha, last.sigma / last.alpha], dtype=torch.float64)
    begin, stop = _interpolated(ends.log(), FINE, counts)
    inner = _interpolated(begin + (stop - begin) * torch.arange(1, steps) / steps, counts, FINE).exp()
    return torch.cat([ends[:1], inner, ends[1:]])


def _interpolated(x: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """Linear, with the gradients of all three."""
    right = torch.searchsorted(xs.detach(), x.detach().contiguous()).clamp(1, len(xs) - 1)
    share = (x - xs[right - 1]) / (xs[right] - xs[right - 1])
    return torch.lerp(ys[right - 1], ys[right], share)


def end(given: Cell, numbers: Tensor, fields: int, nfe: int) -> Tensor:
    """The predictor-corrector's x at t_min; numbers are the log densities and log c."""
    kappas, c = grid(numbers[:-1], given, nfe), numbers[-1].exp()
    clock = kappas / (1 + c * kappas)
    first, last = given.sde.kernel(given.sde.horizon), given.sde.kernel(given.sde.t_min)
    y = given.x / first.alpha / (1 + c * kappas[0])
    past: list[Tensor] = []
    corrected = y
    for n in range(nfe):
        past = [(y - given.law.denoise(y * (1 + c * kappas[n]), Kernel(1.0, kappas[n]))) / clock[n], *past[:fields]]
        if n:
            corrected = corrected + _combined(_weights(clock, n, n - 1, min(n, fields) + 1), past)
        y = corrected + _combined(_weights(clock, n, n, min(n + 1, fields)), past)
    return last.alpha * y * (1 + c * kappas[-1])


def _weights(clock: Tensor, newest: int, step: int, count: int) -> Tensor:
    """Of the `count` fields up to the newest, for the integral over a step of the time variable."""
    h = clock[step + 1] - clock[step]
    nodes = (clock[newest - count + 1 : newest + 1].flip(0) - clock[step]) / h
    powers = torch.arange(count, dtype=torch.float64)
    return h * torch.linalg.solve(nodes[None, :] ** powers[:, None], 1 / (powers + 1))


def _combined(weights: Tensor, fields: list[Tensor]) -> Tensor:
    return sum((w * f for w, f in zip(weights, fields, strict=False)), torch.zeros_like(fields[0]))


def fit(tasks: list[Task], fields: int, ends: tuple[int, int], steps: int) -> tuple[Tensor, Tensor]:
    """The numbers at both ends of the range."""
    start = torch.tensor([*START[0], math.log(START[1])], dtype=torch.float64)
    few, many = start.clone().requires_grad_(), start.clone().requires_grad_()
    rate, *betas = RATES
    optimizer = torch.optim.Adam([few, many], rate, (betas[0], betas[1]))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    choices = random.Random(0)
    for _ in track(range(steps), f"{fields} fields, {ends[0]} to {ends[1]} calls"):
        optimizer.zero_grad()
        for chosen in choices.sample(tasks, min(CELLS, len(tasks))):
            nfe = choices.choice(list(chosen.peers))
            loss = chosen.loss(_between(few, many, ends, nfe), fields, nfe)
            if loss.isfinite():
                ((loss + PENALTY * loss.clamp(min=0) ** 2) / CELLS).backward()
        optimizer.step()
        schedule.step()
    return few.detach(), many.detach()


def _between(few: Tensor, many: Tensor, ends: tuple[int, int], nfe: int) -> Tensor:
    return torch.lerp(few, many, math.log(nfe / ends[0]) / math.log(ends[1] / ends[0]))


@torch.no_grad()
def score(tasks: list[Task], few: Tensor, many: Tensor, fields: int, ends: tuple[int, int]) -> float:
    """The geometric mean of the ratios to the best peer."""
    losses = [t.loss(_between(few, many, ends, nfe), fields, nfe) for t in tasks for nfe in t.peers]
    return torch.stack(losses).mean().exp().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, choices=range(1, 6), required=True)
    parser.add_argument("--budgets", type=int, nargs=2, required=True, help="both ends of the range")
    parser.add_argument("--law", choices=LAWS, action="append", help="repeat for several; all by default")
    parser.add_argument("--steps", type=int, default=300, help="of the descent")
    parser.add_argument("--seed", type=int, default=5, help="of the points x_T")
    chosen = parser.parse_args()
    ends, keys = tuple(chosen.budgets), list(product(chosen.law or LAWS, RANGES))
    budgets = [nfe for nfe in BUDGETS if ends[0] <= nfe <= ends[1]]
    torch.set_num_threads(1)
    tasks = [task(key, chosen.seed, budgets) for key in track(keys, "references and peers")]
    few, many = fit(tasks, chosen.fields, ends, chosen.steps)
    for nfe, numbers in zip(ends, (few, many), strict=True):
        print(nfe, [round(v, 2) for v in numbers[:-1].tolist()], round(numbers[-1].exp().item(), 3))
    print(f"geometric mean of error / best peer: {score(tasks, few, many, chosen.fields, ends):.3f}")


if __name__ == "__main__":
    main()
