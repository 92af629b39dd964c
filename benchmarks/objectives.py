"""The digits by every objective: held-out bits per dimension by flow, ELBO and IWAE, and what a learned schedule saves.

    python -m benchmarks.objectives

One small network (an MLP of width 128) is trained from the same weights with each loss for the same number of steps on
uniformly dequantised digits, and scored on the same held-out ones. Batches are of 64, but of 8 for implicit score
matching, whose exact trace is 64 products with the Jacobian. The three columns bound the same quantity, the
probability of the 17-level picture, under two models that share the network: `flow` is the probability flow to a
tolerance, ELBO and IWAE(16) are the chain of 100 ancestral steps. The gap between flow and IWAE is the score's error
and the chain's coarseness, not the estimators'. `se` is the standard error of a mean over the held-out digits; the
differences between rows are paired, and much sharper.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion.data import by_name
from sde_diffusion.data.pixels import bin_width
from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.likelihood import (
    Chain,
    LogProb,
    Uniform,
    Variational,
    elbo,
    fit_dequantisation,
    importance_weighted,
    log_likelihood,
    quantised,
)
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import (
    ContinuousBound,
    DenoisingScoreMatching,
    Dequantised,
    DiscreteBound,
    EnergyDenoiser,
    Hybrid,
    ImplicitScoreMatching,
    LearnedSchedule,
    LearnedVariance,
    SlicedScoreMatching,
    along_the_slice,
    fit_schedule,
    independent,
    linear_schedule,
)
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import TrainSettings, fit

STEPS, BATCH, POINTS, DRAWS = 2000, 64, 60, 2
EXACT_TRACE_BATCH = 8  # 64 products with the Jacobian a picture
WIDTH = bin_width(17)
SDE = VP()


def build(std: float, kind: str = "mean") -> Denoiser:
    """A fresh denoiser, the same weights for the same kind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = TimeMLP((1, 8, 8), width=128, depth=3)
        if kind == "energy":
            return EnergyDenoiser(net, EDMPreconditioning(std))
        mean = Preconditioned(net, EDMPreconditioning(std))
        return LearnedVariance(mean, TimeMLP((1, 8, 8), width=64, depth=1)) if kind == "variance" else mean


def contestants(schedule: LearnedSchedule) -> dict[str, tuple[Callable[..., Tensor], str]]:
    return {
        "L_simple": (DenoisingScoreMatching(), "mean"),
        "L_vlb, 1000 steps": (DiscreteBound(1000), "mean"),
        "hybrid, learned variance": (Hybrid(1000), "variance"),
        "VDM, linear schedule": (ContinuousBound(), "mean"),
        "VDM, learned schedule": (ContinuousBound(schedule), "mean"),
        "implicit, exact trace": (ImplicitScoreMatching(), "mean"),
        "sliced": (SlicedScoreMatching(square=along_the_slice), "mean"),
        "sliced, variance-reduced": (SlicedScoreMatching(), "mean"),
        "L_vlb, energy": (DiscreteBound(1000), "energy"),
    }


def trained(objective: Callable[..., Tensor], kind: str, data: Tensor) -> Denoiser:
    batch = EXACT_TRACE_BATCH if isinstance(objective, ImplicitScoreMatching) else BATCH
    settings = TrainSettings(steps=STEPS, batch_size=batch, learning_rate=2e-3, log_every=1000)
    return fit(build(data.std().item(), kind), SDE, data, settings, objective=Dequantised(objective, WIDTH))


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scores(denoiser: Denoiser, x: Tensor, std: float) -> dict[str, LogProb]:
    """The three bounds on the probability of pictures x."""
    spread = {"log_excess": denoiser.log_excess} if isinstance(denoiser, LearnedVariance) else {}
    chain = Chain(SDE, denoiser, 100, **spread)
    bounds = {
        "flow": partial(log_likelihood, SDE, denoiser, tol=5e-3, data_std=std),
        "ELBO": partial(elbo, chain, draws=4, generator=rng(1)),
        "IWAE(16)": partial(importance_weighted, chain, paths=16, generator=rng(2)),
    }
    return {name: quantised(bound, x, Uniform(WIDTH), DRAWS, rng(3)) for name, bound in bounds.items()}


def variances(denoiser: Denoiser, schedule: LearnedSchedule, data: Tensor) -> list[list[str]]:
    """Mean and variance of the continuous bound's loss, nats per dimension, on dequantised held-out digits."""
    rows, x = [], data.repeat(20, 1, 1, 1)
    for name, chosen in (("linear", linear_schedule), ("learned", schedule)):
        with torch.no_grad():
            loss = Dequantised(ContinuousBound(chosen, independent), WIDTH)(denoiser, SDE, x, rng(5)).double()
        mean, error = loss.mean().item(), loss.std().item() / math.sqrt(len(loss))
        rows.append([name, f"{mean:.4f} ± {error:.4f}", f"{loss.var().item():.4f}"])
    return rows


def shown(found: LogProb) -> str:
    bits, error = found.bits_per_dim()
    return f"{bits:.3f} ± {error:.3f}"


def main() -> None:
    torch.set_num_threads(1)
    source = by_name("digits")
    data, held_out = source.tensors("train")[0], source.tensors("held_out")[0]
    std, x = data.std().item(), held_out[:POINTS]
    pilot = trained(ContinuousBound(), "mean", data)
    schedule = fit_schedule(LearnedSchedule(32), pilot, SDE, data, generator=rng(4)).requires_grad_(False)
    rows, kept = [], {}
    for name, (objective, kind) in contestants(schedule).items():
        start = time.perf_counter()
        denoiser = trained(objective, kind, data)
        minutes = (time.perf_counter() - start) / 60
        found = kept[name] = scores(denoiser, x, std)
        rows.append([name, *map(shown, found.values()), f"{minutes:.1f}"])
        print(rows[-1], flush=True)
    comparison = variances(pilot, schedule, held_out)
    learned = fit_dequantisation(Variational(WIDTH, 64), pilot, SDE, data, steps=1000, generator=rng(6))
    flow = partial(log_likelihood, SDE, pilot, tol=5e-3, data_std=std)
    bins = [[name, shown(quantised(flow, x, rule, DRAWS, rng(3)))] for name, rule in
            (("uniform", Uniform(WIDTH)), ("variational", learned))]  # fmt: skip
    save_table("objectives_schedule", "Variance of the continuous bound by schedule (VDM's network)",
               ["schedule", "loss, nats/dim", "variance"], comparison, "objectives")  # fmt: skip
    save_table(
        "objectives_dequantisation",
        "Bits/dim by dequantisation (VDM's network, flow)",
        ["distribution in the bin", "bits/dim"],
        bins,
        "objectives",
    )
    save_table("objectives", "Digits: held-out bits/dim by objective", ["objective", *kept["L_simple"], "minutes"], rows,
               steps=STEPS, batch=BATCH, points=POINTS, draws=DRAWS)  # fmt: skip


if __name__ == "__main__":
    main()
