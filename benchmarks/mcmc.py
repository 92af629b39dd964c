"""Markov chains against diffusion samplers at equal cost: which find all modes of `two` and `ring8`.

    python -m benchmarks.mcmc                two minutes on one core

Every contestant gets 400 evaluations of a score, log-density or denoiser for each of 2000 samples. Chains start from N(0, I), as the
diffusion samplers do, and again from the centre of one mode, with the best of six step sizes, picked afterwards in their favour by
the energy distance. "mode error" is the total variation between the modes' shares and the exact weights: zero is right, and the last
row of a distribution is what exact samples have. From N(0, I) the modes of `ring8` are found by symmetry alone.

"effective" is the number of independent samples that 1000 evaluations are worth, for the distribution's first coordinate: 64 stationary
chains of 4000 evaluations, the autocorrelation about the exact mean, with the exact variance, summed until it turns
negative. A chain that never leaves its mode has next to none. A diffusion sampler's samples are independent: 1000 over its cost.

Writes results/mcmc.json, .md and .png.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.output import save_picture, save_table
from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.metrics import energy_distance
from sde_diffusion.reversal import annealed_langevin, in_log_snr
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sampling.default_sde import default_stochastic_solver
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import VP
from solvers import Density, EulerMaruyama, FixedGrid, FreshIncrements, ItoSDE, Method
from solvers.methods.metropolis import MALA, Hamiltonian, RandomWalk

NFE, N = 400, 2000
CHAINS, LONG = 64, 4000
STEPS = (3e-4, 1e-3, 3e-3, 1e-2, 5e-2, 0.2)
LAWS = {"two": two, "ring8": ring8}
MARKOV: dict[str, tuple[Method, int]] = {
    "random walk": (RandomWalk(), 1),
    "ULA": (EulerMaruyama(), 1),
    "MALA": (MALA(), 2),
    "HMC, 9 leaps": (Hamiltonian(9), 10),
}
"""The method and its evaluations a step."""


def mode_error(law: Mixture, x: Tensor) -> float:
    """Total variation between the shares of the modes and their weights."""
    shares = torch.bincount(law.responsibilities(x).argmax(1), minlength=len(law.weights)) / len(x)
    return 0.5 * (shares - law.weights).abs().sum().item()


def walk(law: Mixture, method: Method, steps: int, h: float, start: Tensor) -> Iterator[Tensor]:
    """The states of a chain."""
    equation = Density(law.log_prob, law.score)
    if isinstance(method, EulerMaruyama):
        equation = ItoSDE(lambda x, t: law.score(x), lambda t: 2**0.5)
    path = FreshIncrements.like(start, 7, 0.0, h * steps)
    return (x for _, x in FixedGrid(method, steps).trajectory(equation, start, 0.0, h * steps, path))


def distance(x: Tensor, truth: Tensor) -> float:
    """The energy distance; infinite for a chain that has diverged."""
    return float(energy_distance(x, truth)) if torch.isfinite(x).all() else math.inf


def starts(law: Mixture) -> tuple[Tensor, Tensor]:
    """N(0, I), and the centre of one mode."""
    noise = torch.randn(N, 2, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    return noise, law.centres[0].expand(N, 2).clone()


def best_chain(law: Mixture, method: Method, cost: int, start: Tensor, truth: Tensor) -> tuple[Tensor, float]:
    """The states of the chains after the budget, and their step size."""
    ends = {h: list(walk(law, method, NFE // cost, h, start))[-1] for h in STEPS}
    best = min(STEPS, key=lambda h: distance(ends[h], truth))
    return ends[best], best


def effective(law: Mixture, method: Method, cost: int, h: float) -> float:
    """Independent samples a thousand evaluations."""
    start = law.sample(CHAINS, torch.Generator().manual_seed(4))
    x = torch.stack([state[:, 0] for state in walk(law, method, LONG // cost, h, start)]) - law.mean[0]
    spectrum = torch.fft.rfft(x, 2 * len(x), dim=0).abs().square().mean(1)
    lags = torch.arange(len(x), 0, -1)
    correlation = torch.fft.irfft(spectrum)[: len(x)] / lags / law.variance[0]
    negative = (correlation < 0).nonzero()
    last = int(negative[0]) if len(negative) else len(x)
    return 1000 / cost / (2 * correlation[1:last].sum().item() + correlation[0].item())


def langevin(sde, denoiser, nfe: int):
    reversal = annealed_langevin(sde, denoiser, 10.0)
    return reversal, FixedGrid(EulerMaruyama(), nfe, in_log_snr(sde, reversal.clock))


DIFFUSION: dict[str, tuple[Callable, int]] = {
    "flow, default_solver": (default_solver, 20),
    "reverse SDE, default_stochastic_solver": (default_stochastic_solver, 20),
    "reverse SDE, default_stochastic_solver, all": (default_stochastic_solver, NFE),
    "annealed Langevin": (langevin, NFE),
}


class Row(NamedTuple):
    """A contestant, its evaluations a sample, its samples from either start, and what 1000 evaluations are worth."""

    name: str
    nfe: int
    x: Tensor
    from_one_mode: Tensor | None
    effective: float


def rows_of(law: Mixture) -> Iterator[Row]:
    """The chains, the diffusion samplers, and exact samples."""
    truth = law.sample(N, torch.Generator().manual_seed(2))
    for name, (method, cost) in MARKOV.items():
        (x, h), (other, g) = (best_chain(law, method, cost, start, truth) for start in starts(law))
        worth = max(effective(law, method, cost, step) for step in {h, g})
        yield Row(f"{name}, steps {h:g} and {g:g}", NFE, x, other, worth)
    sde, denoiser = VP(), ExactDenoiser(law)
    for name, (rule, nfe) in DIFFUSION.items():
        reversal, solver = rule(sde, denoiser, nfe)
        x = sample(
            reversal.without_final_denoise(), solver, (N, 2), 1, noise=FreshIncrements, chunk=N, dtype=torch.float64
        )
        yield Row(name, nfe, x, None, 1000 / nfe)
    yield Row("exact samples (baseline)", 0, law.sample(N, torch.Generator().manual_seed(3)), None, math.nan)


def written(key: str, law: Mixture, truth: Tensor, row: Row) -> list[str]:
    """The row of the table."""
    from_mode = "" if row.from_one_mode is None else f"{mode_error(law, row.from_one_mode):.3f}"
    worth = "" if math.isnan(row.effective) else f"{row.effective:.2g}"
    own = [f"{mode_error(law, row.x):.3f}", from_mode, f"{distance(row.x, truth):.5f}", worth]
    return [key, row.name, str(row.nfe or ""), *own]


def plot(rows: list[list[str]]) -> None:
    """Mode errors from both starts, and effective samples, a row of panels for each distribution."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    titles = {3: "mode error, from N(0, I)", 4: "mode error, from one mode", 6: "effective samples in 1000 evaluations"}
    figure, axes = plt.subplots(2, 3, figsize=(15, 7), sharey=True, squeeze=False)
    for line, law in zip(axes, LAWS, strict=True):
        chosen = [row for row in rows if row[0] == law]
        names = [row[1].split(", steps")[0] for row in chosen]
        for axis, (column, title) in zip(line, titles.items(), strict=True):
            axis.barh(names, [float(row[column] or "nan") for row in chosen], color=f"C{column % 5}")
            axis.set(title=f"{law}: {title}", xlim=(0, 1) if column < 6 else None)
    axes[0, 0].invert_yaxis()
    figure.tight_layout()
    save_picture(figure, "mcmc")


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for key, make in LAWS.items():
        law = make()
        truth = law.sample(N, torch.Generator().manual_seed(2))
        rows += [written(key, law, truth, row) for row in rows_of(law)]
    modes = ("mode error, from N(0, I)", "from one mode")
    columns = ["distribution", "sampler", "NFE a sample", *modes, "energy distance", "effective in 1000"]
    save_table("mcmc", "Chains and diffusion at equal cost", columns, rows)
    plot(rows)


if __name__ == "__main__":
    main()
