"""Stochastic samplers against the exact law of ring8: mean log-density and sliced Wasserstein-2, with their floors.

    python -m benchmarks.stochastic

Each run has 20,000 samples of x at t_min from the exact law at the horizon, under VP. "log p gap" is the mean exact log-density
minus the exact mean, in nats, with the 95% half-width of its sampling error; the sliced distance's floor is that of two exact sets.
"""

from __future__ import annotations

import math

import torch

from benchmarks.output import save_table
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import ring8
from sde_diffusion.metrics import sliced_wasserstein
from sde_diffusion.reversal import ancestral, churned, data_form, ddim, in_log_snr, predictor_corrector, reverse_sde
from sde_diffusion.sampling import sample
from sde_diffusion.sde import VP
from solvers import (
    Ancestral,
    EulerMaruyama,
    ExponentialEuler,
    FixedGrid,
    KeyedIncrements,
    StochasticHeun,
)
from solvers.methods.churn import Churn
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.methods.predictor_corrector import PredictorCorrector
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams

N = 20_000
SDE, LAW = VP(), ring8()
DENOISER = ExactDenoiser(LAW)
TARGET = LAW.through(SDE.kernel(SDE.t_min))


class ExactStart:
    """The exact law at the horizon in the prior's place."""

    def from_noise(self, noise):
        law = LAW.through(SDE.kernel(SDE.horizon))
        return law.sample(len(noise), torch.Generator().manual_seed(5)).to(noise)


def corrected(sde, denoiser):
    return predictor_corrector(reverse_sde(sde, denoiser), sde, denoiser)


SAMPLERS = {
    "reverse SDE, Euler-Maruyama": (reverse_sde, EulerMaruyama(), 1),
    "reverse SDE, stochastic Heun": (reverse_sde, StochasticHeun(), 2),
    "predictor-corrector": (corrected, PredictorCorrector(EulerMaruyama()), 2),
    "ancestral (DDPM)": (ancestral, Ancestral(), 1),
    "DDIM(0.5)": (lambda s, d: ddim(s, d, 0.5), Ancestral(), 1),
    "churn 10, Heun (EDM)": (churned, Churn(10.0), 2),
    "data form eta 1, exponential Euler": (lambda s, d: data_form(s, d, 1.0), ExponentialEuler(), 1),
    "data form eta 1, Adams 2": (lambda s, d: data_form(s, d, 1.0), StochasticExponentialAdams(2), 1),
    "data form eta 1, Adams 3": (lambda s, d: data_form(s, d, 1.0), StochasticExponentialAdams(3), 1),
    "data form eta 1, PEC 2": (lambda s, d: data_form(s, d, 1.0), PredictEvaluateCorrect(2), 1),
    "data form eta 0.5, PEC 2": (lambda s, d: data_form(s, d, 0.5), PredictEvaluateCorrect(2), 1),
    "data form eta 0.5, PEC 3": (lambda s, d: data_form(s, d, 0.5), PredictEvaluateCorrect(3), 1),
    "data form eta 0.3, PEC 3": (lambda s, d: data_form(s, d, 0.3), PredictEvaluateCorrect(3), 1),
}


def run(make, method, steps: int):
    reversal = make(SDE, DENOISER).raw().starting_from(ExactStart())
    solver = FixedGrid(method, steps, in_log_snr(SDE, reversal.clock))
    return sample(reversal, solver, (N, 2), 3, noise=KeyedIncrements, chunk=N, dtype=torch.float64)


def main() -> None:
    torch.set_num_threads(1)
    exact = TARGET.log_prob(TARGET.sample(1_000_000, torch.Generator().manual_seed(1))).mean().item()
    pairs = [TARGET.sample(N, torch.Generator().manual_seed(k)) for k in (11, 12, 13, 14)]
    floor = max(sliced_wasserstein(pairs[0], pairs[1]), sliced_wasserstein(pairs[2], pairs[3]))
    rows = []
    for name, (make, method, cost) in SAMPLERS.items():
        for nfe in (20, 35, 50, 100):
            x = run(make, method, nfe // cost)
            log_prob = TARGET.log_prob(x)
            half = 1.96 * log_prob.std().item() / math.sqrt(N)
            gap = log_prob.mean().item() - exact
            distance = sliced_wasserstein(x, pairs[0])
            rows.append([name, str(nfe // cost * cost), f"{gap:+.4f} +- {half:.4f}", f"{distance:.4f}"])
    rows.append(["floor: two exact sets", "", "0", f"{floor:.4f}"])
    save_table(
        "stochastic", "Stochastic samplers on ring8, VP", ["sampler", "NFE", "log p gap, nats", "sliced W2"], rows
    )


if __name__ == "__main__":
    main()
