"""Markov chains against diffusion samplers at equal cost: who finds all modes of `two` and `ring8`.

    python -m benchmarks.mcmc

Every contestant gets 400 evaluations of a score or denoiser (or log-density, for the random walk) for each of 2000 samples. Chains start
at one point, the mean of the law, with the best of four step sizes, picked afterwards in their favour. "Modes" is the total variation
between the modes' shares and the exact weights (0 is right); "effective" is the effective sample size of one chain of 4000 steps
in its first coordinate, by the autocorrelation summed until it turns negative; a diffusion sampler's samples are independent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion.default_solver import default_solver
from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.metrics import energy_distance
from sde_diffusion.reversal import data_form, in_log_snr
from sde_diffusion.sampling import sample
from sde_diffusion.sde import VP
from solvers import Density, EulerMaruyama, FixedGrid, ItoSDE, KeyedIncrements
from solvers.methods.metropolis import MALA, Hamiltonian, RandomWalk
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams

NFE, N, LONG = 400, 2000, 4000


def mode_error(law: Mixture, x: Tensor) -> float:
    """Total variation between the shares of the modes and their weights."""
    shares = torch.bincount(law.responsibilities(x).argmax(1), minlength=len(law.weights)) / len(x)
    return 0.5 * (shares - law.weights).abs().sum().item()


def effective_size(walk: Tensor) -> float:
    """Steps over the integrated autocorrelation time of a series (T,)."""
    centred = walk - walk.mean()
    spectrum = torch.fft.rfft(centred, 2 * len(walk)).abs().square()
    correlation = torch.fft.irfft(spectrum)[: len(walk)]
    correlation = correlation / correlation[0]
    negative = (correlation < 0).nonzero()
    last = int(negative[0]) if len(negative) else len(walk)
    return len(walk) / (2 * correlation[:last].sum().item() - 1)


def chain(law: Mixture, method, steps: int, h: float, n: int):
    start = law.mean.expand(n, 2).clone()
    path = KeyedIncrements.like(start, 7, 0.0, h * steps)
    equation = Density(law.log_prob, law.score)
    if isinstance(method, EulerMaruyama):
        equation = ItoSDE(lambda x, t: law.score(x), lambda t: 2**0.5)
    return FixedGrid(method, steps).trajectory(equation, start, 0.0, h * steps, path)


def best_chain(law: Mixture, method, cost: int) -> tuple[Tensor, float]:
    """The chain with the smallest energy distance over four step sizes, and its effective size a thousand evaluations."""
    truth = law.sample(N, torch.Generator().manual_seed(2))
    tried = []
    for h in (3e-4, 1e-3, 1e-2, 5e-2):
        for _, x in chain(law, method, NFE // cost, h, N):  # noqa: B007
            pass
        tried.append((energy_distance(x, truth), h, x))
    _, h, x = min(tried, key=lambda item: item[0])
    walk = torch.stack([state[0, 0] for _, state in chain(law, method, LONG, h, 1)])
    return x, effective_size(walk) / (LONG * cost) * 1000


def diffusion(law: Mixture, nfe: int, stochastic: bool) -> Tensor:
    sde, denoiser = VP(), ExactDenoiser(law)
    if stochastic:
        reversal = data_form(sde, denoiser, 1.0).raw()
        solver = FixedGrid(StochasticExponentialAdams(2), nfe, in_log_snr(sde, reversal.clock))
    else:
        reversal, solver = default_solver(sde, denoiser, nfe)
    return sample(reversal, solver, (N, 2), 1, noise=KeyedIncrements, chunk=N, dtype=torch.float64)


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    chains = {
        "random walk": (RandomWalk(), 1),
        "ULA": (EulerMaruyama(), 1),
        "MALA": (MALA(), 2),
        "HMC, 9 leaps": (Hamiltonian(9), 10),
    }
    for name, law in {"two": two(), "ring8": ring8()}.items():
        truth = law.sample(N, torch.Generator().manual_seed(2))
        for label, (method, cost) in chains.items():
            x, effective = best_chain(law, method, cost)
            rows.append(
                [
                    name,
                    label,
                    str(NFE),
                    f"{mode_error(law, x):.3f}",
                    f"{energy_distance(x, truth):.5f}",
                    f"{effective:.1f}",
                ]
            )
        for label, nfe, stochastic in (
            ("flow, default solver", 20, False),
            ("flow, default solver", NFE, False),
            ("SDE, data form Adams 2", NFE, True),
        ):
            x = diffusion(law, nfe, stochastic)
            rows.append(
                [
                    name,
                    label,
                    str(nfe),
                    f"{mode_error(law, x):.3f}",
                    f"{energy_distance(x, truth):.5f}",
                    f"{1000 / nfe:.1f}",
                ]
            )
        other = law.sample(N, torch.Generator().manual_seed(3))
        rows.append(
            [
                name,
                "exact samples (floor)",
                "",
                f"{mode_error(law, other):.3f}",
                f"{energy_distance(other, truth):.5f}",
                "",
            ]
        )
    save_table(
        "mcmc",
        "Chains and diffusion at equal cost",
        ["law", "sampler", "NFE a sample", "mode error", "energy distance", "effective samples in 1000 NFE"],
        rows,
    )


if __name__ == "__main__":
    main()
