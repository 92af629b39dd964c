"""Which law does guidance draw? Each against the tilted law p(x | c) p(c | x)^(w - 1), with an exact denoiser.

    python -m benchmarks.guidance                    four laws, weights 1 to 4, 20 and 100 calls; a few minutes
    python -m benchmarks.guidance --seed 7           other noise and other exact draws

A figure is the sliced W2 distance of 4,000 samples to 4,000 exact draws over that of two exact sets, a mean over six sets:
1 is what exact sampling reaches. The exact denoiser makes no error, so the rest is the method's own. "corrected" are weighted
particles in sets of 32. A call is a call of the guided denoiser: of twice the rows for those that need both answers. Means are
geometric, over the laws; the gap is that of the mean log-density, the largest of the laws.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.output import RESULTS, save_table
from sde_diffusion.denoisers import Conditioned, Denoiser
from sde_diffusion.exact import ClassDenoiser, Mixture, MixtureOfClasses
from sde_diffusion.exact.problems import ring8
from sde_diffusion.guidance import ClassifierFree, CorrectedGuidance, Projected, Ramped
from sde_diffusion.metrics import sliced_wasserstein
from sde_diffusion.report.plots.style import colour, figure, save
from sde_diffusion.sampling import (
    default_solver,
    default_stochastic_solver,
    default_weighted_sampler,
    sample,
    sample_weighted,
)
from sde_diffusion.sde import VP

COUNT, NFE, WEIGHTS, PARTICLES, SETS = 4000, (20, 100), (1.0, 2.0, 4.0), 32, 6
SOLVERS = {"deterministic": default_solver, "stochastic": default_stochastic_solver}
GUIDANCES: dict[str, Callable[[Denoiser, float], Denoiser]] = {
    "classifier-free": lambda model, weight: ClassifierFree(model, weight),
    "interval (0.3, 3]": lambda model, weight: ClassifierFree(model, weight, interval=(0.3, 3.0)),
    "projected": lambda model, weight: Projected(model, weight),
    "ramped": lambda model, weight: Ramped(model, weight),
}


def eight_dimensions() -> MixtureOfClasses:
    """Ten modes in 8-D, five to a class."""
    generator = torch.Generator().manual_seed(8)
    means = 0.8 * torch.randn(10, 8, generator=generator, dtype=torch.float64)
    weights = 1 + torch.rand(10, generator=generator, dtype=torch.float64)
    return MixtureOfClasses(Mixture(weights / weights.sum(), means, 0.4**2), [0] * 5 + [1] * 5)


LAWS: dict[str, Callable[[], MixtureOfClasses]] = {
    "halves of a ring": lambda: MixtureOfClasses(ring8(), [0] * 4 + [1] * 4),
    "two overlapping Gaussians": lambda: MixtureOfClasses(Mixture([0.5, 0.5], [[-0.5, 0], [0.5, 0]], 0.5**2), [0, 1]),
    "two modes each": lambda: MixtureOfClasses(
        Mixture([0.3, 0.2, 0.3, 0.2], [[-1.0, 0], [0.6, 0.9], [1, 0], [-0.2, 0.4]], 0.25**2), [0, 0, 1, 1]
    ),
    "five modes each, 8-D": eight_dimensions,
}


def drawn(classes: MixtureOfClasses, guided: Denoiser, solver: str, nfe: int, seed: int) -> Tensor:
    """Samples of class 0."""
    deviation = classes.law.variance.mean().sqrt().item()
    reversal, method = SOLVERS[solver](VP(), Conditioned(guided, label=0), nfe, deviation)
    return sample(reversal, method, (COUNT, *classes.law.event_shape), seed, dtype=torch.float64)


def corrected(classes: MixtureOfClasses, weight: float, nfe: int, seed: int) -> Tensor:
    """The same by weighted particles."""
    deviation = classes.law.variance.mean().sqrt().item()
    found = sample_weighted(
        lambda oracle: default_weighted_sampler().build(VP(t_min=1e-5), oracle, nfe=nfe, data_std=deviation),
        CorrectedGuidance(ClassDenoiser(classes), weight, {"label": 0}),
        (COUNT, *classes.law.event_shape),
        seed,
        particles=PARTICLES,
        chunk=COUNT,
        dtype=torch.float64,
    )
    return found.x


def made(guidance: str, solver: str, classes: MixtureOfClasses, weight: float, nfe: int, seed: int) -> Tensor:
    """Samples of class 0 by a row's guidance and solver."""
    if guidance == "corrected":
        return corrected(classes, weight, nfe, seed)
    return drawn(classes, GUIDANCES[guidance](ClassDenoiser(classes), weight), solver, nfe, seed)


def gap(x: Tensor, exact: list[Tensor], classes: MixtureOfClasses, weight: float) -> float:
    """The mean log-density of the tilted law, up to its normaliser, less that of exact draws, in nats."""

    def mean(x: Tensor) -> Tensor:
        return (weight * classes.laws[0].log_prob(x) + (1 - weight) * classes.law.log_prob(x)).mean()

    return (mean(x) - mean(torch.cat(exact))).item()


def ratio(x: Tensor, exact: list[Tensor]) -> float:
    """The mean distance to exact sets over that between two of them."""
    floor = statistics.fmean(sliced_wasserstein(*pair) for pair in itertools.pairwise(exact))
    return statistics.fmean(sliced_wasserstein(x, one) for one in exact) / floor


def exact_sets(classes: MixtureOfClasses, weight: float, seed: int) -> list[Tensor]:
    """Independent sets of the tilted law."""
    return [classes.tilted(0, weight, COUNT, torch.Generator().manual_seed(1000 * seed + i)) for i in range(SETS)]


def row(guidance: str, solver: str, seed: int) -> list[str]:
    """The mean and the worst ratio, and the largest gap, for each weight and budget."""
    cells = [guidance, solver]
    for weight in WEIGHTS:
        for nfe in NFE:
            found, gaps = [], []
            for law in LAWS.values():
                classes = law()
                x, exact = made(guidance, solver, classes, weight, nfe, seed), exact_sets(classes, weight, seed)
                found.append(ratio(x, exact))
                gaps.append(gap(x, exact, classes, weight))
            mean = statistics.geometric_mean(found)
            cells.append(f"{mean:.1f}, {max(found):.1f}; {max(gaps, key=abs):+.2f}")
    return cells


def picture(path: Path, seed: int) -> None:
    """Exact draws of the tilted law, and samples by plain, ramped and corrected guidance, for three weights."""
    classes = LAWS["two modes each"]()
    model = ClassDenoiser(classes)
    with figure(9, 12) as drawing:
        axes = drawing.subplots(4, len(WEIGHTS), sharex=True, sharey=True)
        for i, weight in enumerate(WEIGHTS):
            shown = {"exact": exact_sets(classes, weight, seed)[0]}
            for name in ("classifier-free", "ramped"):
                shown[name] = drawn(classes, GUIDANCES[name](model, weight), "deterministic", 50, seed)
            shown["corrected"] = corrected(classes, weight, 100, seed)
            for j, (name, x) in enumerate(shown.items()):
                axes[j][i].scatter(*x[:1500].T.tolist(), s=2, alpha=0.4, color=colour(j), linewidths=0)
                axes[j][i].set_title(f"{name}, w = {weight:g}", fontsize=9)
                axes[j][i].set_aspect("equal")
        save(drawing, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    torch.set_num_threads(1)
    rows = [row(guidance, solver, seed) for guidance in GUIDANCES for solver in SOLVERS]
    rows.append(row("corrected", "weighted", seed))
    columns = ["guidance", "sampler", *(f"w = {w:g}, {nfe} calls" for w in WEIGHTS for nfe in NFE)]
    save_table(
        "guidance",
        "Sliced W2 to the tilted law over its floor: mean, worst of four laws; largest gap in nats",
        columns,
        rows,
        seed=seed,
    )
    picture(RESULTS / "guidance.png", seed)


if __name__ == "__main__":
    main()
