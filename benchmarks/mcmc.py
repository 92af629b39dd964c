"""Markov chains against diffusion samplers at equal cost: who finds all modes of `two` and `ring8`.

    python -m benchmarks.mcmc                two minutes on one core

Every contestant gets 400 evaluations of a score, log-density or denoiser for each of 2000 samples. Chains start at one point, the
mean of the law, with the best of seven step sizes, picked afterwards in their favour by the energy distance. "mode error" is the total
variation between the modes' shares and the exact weights: zero is right, and the last row of a law is what exact samples have.

"effective" is the number of independent samples that 1000 evaluations are worth, for the law's first coordinate: 64 stationary
chains of 4000 evaluations, the autocorrelation about the exact mean, with the exact variance, summed until it turns
negative. A chain that never leaves its mode has none to speak of. A diffusion sampler's samples are independent: 1000 over its cost.

Writes results/mcmc.json, .md and .png.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from benchmarks.output import RESULTS, save_table
from sde_diffusion.default_solver import default_solver
from sde_diffusion.default_stochastic_solver import default_stochastic_solver
from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.metrics import energy_distance
from sde_diffusion.reversal import annealed_langevin, in_log_snr
from sde_diffusion.sampling import sample
from sde_diffusion.sde import VP
from solvers import Density, EulerMaruyama, FixedGrid, FreshIncrements, ItoSDE, Method
from solvers.methods.metropolis import MALA, Hamiltonian, RandomWalk

NFE, N = 400, 2000
CHAINS, LONG = 64, 4000
STEPS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 5e-2, 0.2)
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


def best_chain(law: Mixture, method: Method, cost: int, truth: Tensor) -> tuple[Tensor, float]:
    """Where the chains stand after the budget, and their step size."""
    start = law.mean.expand(N, 2).clone()
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


def rows_of(law: Mixture) -> Iterator[tuple[str, int, Tensor, float]]:
    """Contestant, evaluations a sample, samples, effective samples a thousand evaluations."""
    truth = law.sample(N, torch.Generator().manual_seed(2))
    for name, (method, cost) in MARKOV.items():
        x, h = best_chain(law, method, cost, truth)
        yield f"{name}, step {h:g}", NFE, x, effective(law, method, cost, h)
    sde, denoiser = VP(), ExactDenoiser(law)
    for name, (rule, nfe) in DIFFUSION.items():
        reversal, solver = rule(sde, denoiser, nfe)
        x = sample(reversal.raw(), solver, (N, 2), 1, noise=FreshIncrements, chunk=N, dtype=torch.float64)
        yield name, nfe, x, 1000 / nfe
    yield "exact samples (floor)", 0, law.sample(N, torch.Generator().manual_seed(3)), math.nan


def plot(found: list[tuple[str, str, float, float]]) -> None:
    """Mode error and effective samples, a panel each for both laws."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(12, 7), sharey="col", squeeze=False)
    for row, law in enumerate(LAWS):
        chosen = [entry for entry in found if entry[0] == law]
        names = [name.split(", step")[0] for _, name, *_ in chosen]
        for axis, column, title in zip(axes[row], (2, 3), ("mode error", "effective samples in 1000"), strict=True):
            axis.barh(names, [entry[column] for entry in chosen], color=f"C{column - 2}")
            axis.set(title=f"{law}: {title}")
            axis.invert_yaxis()
    figure.tight_layout()
    figure.savefig(RESULTS / "mcmc.png", dpi=110)
    plt.close(figure)


def main() -> None:
    torch.set_num_threads(1)
    rows, bars = [], []
    for key, make in LAWS.items():
        law = make()
        truth = law.sample(N, torch.Generator().manual_seed(2))
        for name, nfe, x, size in rows_of(law):
            error = mode_error(law, x)
            worth = "" if math.isnan(size) else f"{size:.2g}"
            rows.append([key, name, str(nfe or ""), f"{error:.3f}", f"{distance(x, truth):.5f}", worth])
            bars.append((key, name, error, size))
    columns = ["law", "sampler", "NFE a sample", "mode error", "energy distance", "effective in 1000"]
    save_table("mcmc", "Chains and diffusion at equal cost", columns, rows)
    plot(bars)


if __name__ == "__main__":
    main()
