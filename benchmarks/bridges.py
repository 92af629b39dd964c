"""Bridges between two laws: couplings, flows in the plane, Schroedinger bridges with exact answers.

    python -m benchmarks.bridges                     three tables, about half an hour on one core
    python -m benchmarks.bridges --quick             the same in a minute, of small sizes: whether it runs, not what it says
    python -m benchmarks.bridges --seed 7            other data, other weights

Couplings: one batch of eight Gaussians and moons. Cost over the batch's optimum, shares of the points in use, the total variation
of the plan's worse marginal, milliseconds; POT and torchcfm are contestants where they are installed (`pip install pot torchcfm`).

The plane: flows by a coupled denoiser, 4,000 steps of 256. W2 between carried and fresh points, and the excess of the path energy
over W2^2 of the ends, |energy/W2^2 - 1| (normalised path energy).

Bridges: relative errors of the cross-covariance (the whole matrix) and of the end's covariance for Gaussians, the floor being a
sample of the exact plan; for mixture potentials the error of E[x_1 | x_0], in percent of half the variance.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion.couplings import (
    Assignment,
    Coupling,
    GaussianCoupling,
    Independent,
    Sinkhorn,
    assign,
    fit_potentials,
)
from sde_diffusion.denoisers import Coupled, Preconditioned, PreconditionedEnds
from sde_diffusion.exact import Gaussian, MixturePotentials, entropic_plan, random_potentials
from sde_diffusion.exact.entropic import half_squared_distances, log_plan
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import BridgeMatching, CoupledDenoising
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import half_bridge, velocity_form
from sde_diffusion.sde import Brownian, Pinned, Rectified
from sde_diffusion.training import TrainSettings, fit
from solvers import FixedGrid, StochasticHeun
from solvers.wiener import KeyedIncrements, PathSpec


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    batch: int = 256
    points: int = 10_000
    test: int = 2000
    steps: int = 4000
    bridge_steps: int = 3000
    fit_steps: int = 2000
    dimensions: tuple[int, ...] = (5, 20)


QUICK = Sizes(64, 300, 100, 20, 20, 20, (2,))


def _show(sizes: Sizes, name: str, title: str, columns: list[str], rows: list[list[str]], seed: int) -> None:
    """Save a table; print one of small sizes, which says nothing."""
    if sizes is not QUICK:
        save_table(name, title, columns, rows, "bridges", seed=seed)
        return
    print(title, " | ".join(columns), *map(" | ".join, rows), sep="\n", end="\n\n")


def normal(n: int, g: torch.Generator) -> Tensor:
    return torch.randn(n, 2, generator=g)


def eight(n: int, g: torch.Generator) -> Tensor:
    """Eight Gaussians of variance 0.1 on a circle of radius 5."""
    angle = torch.randint(8, (n,), generator=g) * (math.pi / 4)
    return 5 * torch.stack((angle.cos(), angle.sin()), 1) + math.sqrt(0.1) * normal(n, g)


def moons(n: int, g: torch.Generator) -> Tensor:
    """Two half circles, three times as large and moved by -1."""
    upper, angle = torch.rand(n, generator=g) < 0.5, math.pi * torch.rand(n, generator=g)
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    return 3 * (torch.stack((x, y), 1) + 0.1 * normal(n, g)) - 1


def s_curve(n: int, g: torch.Generator) -> Tensor:
    """An S in the plane, with noise."""
    t = 3 * math.pi * (torch.rand(n, generator=g) - 0.5)
    return 1.5 * torch.stack((t.sin(), t.sign() * (t.cos() - 1)), 1) + 0.15 * normal(n, g)


PLANE = {
    "N to moons": (normal, moons),
    "8 to moons": (eight, moons),
    "moons to 8": (moons, eight),
    "N to 8": (normal, eight),
    "N to S": (normal, s_curve),
}


def couplings(sizes: Sizes, seed: int) -> None:
    """The first table."""
    g = torch.Generator().manual_seed(seed)
    x0, x1 = eight(sizes.batch, g).double(), moons(sizes.batch, g).double()
    cost = half_squared_distances(x0, x1)
    rows_of = torch.arange(len(x0))
    best = cost[rows_of, assign(cost)].mean().item()
    ours: dict[str, Coupling] = {"independent": Independent(), "assignment": Assignment()}
    ours |= {f"Sinkhorn, eps {eps:g}": Sinkhorn(eps) for eps in (1.0, 0.1, 1e-2, 1e-3, 1e-4)}
    table = []
    for name, coupling in ours.items():
        start = time.perf_counter()
        pairs = coupling(x0, x1, g)
        spent = 1e3 * (time.perf_counter() - start)
        error = f"{_marginals(log_plan(cost, coupling.eps).exp()):.1g}" if isinstance(coupling, Sinkhorn) else "0"
        near, far = pairs.near_rows, pairs.far_rows
        assert near is not None
        assert far is not None
        table.append([name, *_cells(cost[near, far].mean().item() / best, near, far, len(x0)), error, f"{spent:.1f}"])
    table += _peers(x0, x1, cost, best)
    columns = ["coupling", "cost over optimum", "x0, x1 in use", "marginals, TV", "ms"]
    _show(sizes, "bridges_couplings", f"One batch of {sizes.batch}", columns, table, seed)


def _cells(ratio: float, near: Tensor, far: Tensor, n: int) -> list[str]:
    return [f"{ratio:.3f}", f"{len(near.unique()) / n:.2f}, {len(far.unique()) / n:.2f}"]


def _marginals(plan: Tensor) -> float:
    return max(float((plan.sum(i) - 1 / plan.shape[1 - i]).abs().sum() / 2) for i in (0, 1))


def _peers(x0: Tensor, x1: Tensor, cost: Tensor, best: float) -> list[list[str]]:
    """POT and torchcfm on the same batch; nothing where they are not installed."""
    try:
        import ot  # pyright: ignore[reportMissingImports]
        from torchcfm.optimal_transport import OTPlanSampler  # pyright: ignore[reportMissingImports]
    except ImportError:
        return []
    uniform, rows = ot.unif(len(x0)), []
    made: dict[str, Callable[[], Tensor]] = {"POT emd": lambda: torch.as_tensor(ot.emd(uniform, uniform, cost.numpy()))}
    for reg in (2.0, 0.18, 0.02):
        sampler = OTPlanSampler(method="sinkhorn", reg=reg)
        made[f"torchcfm sinkhorn, reg {reg:g}"] = lambda s=sampler: torch.as_tensor(s.get_map(x0, x1))
    for name, plan in made.items():
        start = time.perf_counter()
        found = plan()
        spent = 1e3 * (time.perf_counter() - start)
        ratio = float((found * cost).sum()) / best
        rows.append([name, f"{ratio:.3f}", "", f"{_marginals(found):.1g}", f"{spent:.1f}"])
    return rows


def w2(x: Tensor, y: Tensor) -> float:
    """The exact W2 distance of two sets of one size."""
    cost = half_squared_distances(x, y)
    return math.sqrt(2 * cost[torch.arange(len(x)), assign(cost)].mean().item())


def plane(sizes: Sizes, seed: int) -> None:
    """The second table: W2 and normalised path energy for each pair of laws."""
    rows: list[list[str]] = [["floor"], ["independent"], ["assignment"]]
    for source, target in PLANE.values():
        g = torch.Generator().manual_seed(seed)
        x0, x1 = target(sizes.points, g), source(sizes.points, g)
        start, fresh, other = source(sizes.test, g), target(sizes.test, g), target(sizes.test, g)
        rows[0].append(f"{w2(fresh, other):.3f}")
        least = w2(start, fresh) ** 2
        for row, coupling in zip(rows[1:], (Independent(), Assignment()), strict=True):
            end, energy = _carried(_flow(x0, x1, coupling, sizes, seed), start)
            row.append(f"{w2(end, fresh):.3f} / {abs(energy / least - 1):.3f}")
    title = f"W2 / normalised path energy, {sizes.steps} steps of {sizes.batch}, {sizes.test} test points"
    _show(sizes, "bridges_plane", title, ["coupling", *PLANE], rows, seed)


def _flow(x0: Tensor, x1: Tensor, coupling: Coupling, sizes: Sizes, seed: int):
    """The flow of a coupled denoiser, and the mean and the deviation of the source, in whose units it was trained."""
    torch.manual_seed(seed)
    mean, unit = x1.mean(0), float(x1.std())
    near, far = (x0 - mean) / unit, (x1 - mean) / unit
    model = Coupled(
        Preconditioned(TimeMLP(2, width=64, depth=3), EDMPreconditioning(float(near.square().mean().sqrt())))
    )
    settings = TrainSettings(steps=sizes.steps, batch_size=sizes.batch, learning_rate=2e-3, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the data are not centred, the source is
        model = fit(model, Rectified(), near, settings, objective=CoupledDenoising(coupling), source=far, device="cpu")
    return velocity_form(Rectified(), model), mean, unit


def _carried(found, x: Tensor, steps: int = 50) -> tuple[Tensor, float]:
    """The end of the flow, and its energy: the integral of E|v|^2 over the share of the way, by the midpoints of the steps."""
    flow, mean, unit = found
    y, energy, times = (
        (x - mean) / unit,
        0.0,
        torch.linspace(flow.start, flow.stop, steps + 1, dtype=torch.float64).tolist(),
    )
    y = flow.to_chart(y, flow.start)
    with torch.no_grad():
        for t, s in zip(times, times[1:], strict=False):
            slope = flow.equation.drift(y + flow.equation.drift(y, t) * (s - t) / 2, (t + s) / 2)
            energy += slope.square().sum(1).mean().item() * abs(s - t)
            y = y + slope * (s - t)
    return unit * flow.from_chart(y, flow.stop) + mean, unit**2 * energy


def ends_of(d: int, seed: int) -> tuple[Gaussian, Gaussian]:
    """Two Gaussians of random covariances, eigenvalues 0.25 to 2."""
    g = torch.Generator().manual_seed(seed)

    def one() -> Gaussian:
        frame = torch.linalg.qr(torch.randn(d, d, generator=g, dtype=torch.float64)).Q
        values = 0.25 + 1.75 * torch.rand(d, generator=g, dtype=torch.float64)
        return Gaussian(torch.randn(d, generator=g, dtype=torch.float64), (frame * values) @ frame.mT)

    return one(), one()


def gaussians(sizes: Sizes, seed: int, eps: float = 1.0) -> list[list[str]]:
    """Rows: d, way, error of the cross-covariance, of the end's covariance."""
    rows = []
    for d in sizes.dimensions:
        near, far = ends_of(d, seed + d)
        plan = entropic_plan(near, far, eps)
        g = torch.Generator().manual_seed(seed)
        x0, x1 = near.sample(sizes.points, g), far.sample(sizes.points, g)
        start = near.sample(sizes.points, g)
        fitted = fit_potentials(x0, x1, eps, components=1, steps=sizes.fit_steps // 2, seed=seed)
        pairs = {"floor": plan.sample(sizes.points, g), "potentials, K = 1": fitted.pairs(start, g)}
        for name, coupling in (("Sinkhorn", Sinkhorn(eps)), ("Gaussian plan", GaussianCoupling.fit(x0, x1, eps))):
            pairs[f"network on {name} pairs"] = _bridge(x0, x1, start, coupling, eps, sizes, seed)
        rows += [[f"Gaussians, d = {d}", name, *_errors(found, plan.covariance, d)] for name, found in pairs.items()]
    return rows


def _bridge(x0: Tensor, x1: Tensor, start: Tensor, coupling: Coupling, eps: float, sizes: Sizes, seed: int) -> Tensor:
    """Pairs (B, 2, d) by the forward half of a trained bridge, 30 steps."""
    torch.manual_seed(seed)
    d, near, far = x0.shape[1], x0.float(), x1.float()
    bridge = Pinned(Brownian(eps, 1e-3 * eps))
    ends = PreconditionedEnds(TimeMLP(d), TimeMLP(d), float(near.var(0).mean()), float(far.var(0).mean()))
    settings = TrainSettings(steps=sizes.bridge_steps, batch_size=sizes.batch, learning_rate=1e-3, seed=seed)
    ends = fit(ends, bridge, near, settings, objective=BridgeMatching(coupling), source=far, device="cpu")
    forward = half_bridge(bridge, ends, "far")
    begin = start.float()
    path = KeyedIncrements(PathSpec.like(begin, seed, forward.start, forward.stop))
    with torch.no_grad():
        end = forward.solve(FixedGrid(StochasticHeun(), 30), begin, path)
    return torch.stack((begin, end), 1).double()


def _errors(pairs: Tensor, covariance: Tensor, d: int) -> list[str]:
    error = torch.cov(pairs.flatten(1).mT) - covariance
    blocks = ((slice(0, d), slice(d, 2 * d)), (slice(d, 2 * d), slice(d, 2 * d)))
    return [f"{float(torch.linalg.norm(error[b]) / torch.linalg.norm(covariance[b])):.3f}" for b in blocks]


def mixtures(sizes: Sizes, seed: int) -> list[list[str]]:
    """Rows: problem, way, error of the conditional mean in percent of half the far variance, seconds."""
    rows = []
    for d, eps in ((16, 1.0), (2, 0.1)):
        own, g = random_potentials(d, eps, modes=5, seed=seed), torch.Generator().manual_seed(seed)
        x0, start, x = (torch.randn(sizes.points, d, generator=g, dtype=torch.float64) for _ in range(3))
        x1 = own.sample(start, g)
        for count in (5, 20):
            begun = time.perf_counter()
            found = fit_potentials(x0, x1, eps, components=count, steps=sizes.fit_steps, seed=seed)
            spent = time.perf_counter() - begun
            error = _conditional(found, own, x) / float(x1.var(0).sum() / 2)
            rows.append(
                [
                    f"mixture potentials, d = {d}, eps = {eps:g}",
                    f"potentials, K = {count}, {spent:.0f} s",
                    f"{100 * error:.3f} %",
                    "",
                ]
            )
    return rows


def _conditional(found: MixturePotentials, own: MixturePotentials, x: Tensor) -> float:
    return float((found.far_mean(x) - own.far_mean(x)).square().sum(1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    sizes = QUICK if asked.quick else Sizes()
    torch.set_num_threads(1)
    couplings(sizes, asked.seed)
    plane(sizes, asked.seed)
    rows = gaussians(sizes, asked.seed) + mixtures(sizes, asked.seed)
    columns = ["problem", "way", "cross-covariance, or E[x1 | x0]", "covariance of the end"]
    _show(sizes, "bridges", "Errors of Schroedinger bridges", columns, rows, asked.seed)


if __name__ == "__main__":
    main()
