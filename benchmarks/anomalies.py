"""Which score separates other data from digits, and are the p-values right?

    python -m benchmarks.anomalies

A small network is trained on the digits with the variational loss. Of the held-out digits, 180 calibrate and 180 are
compared with other data of the same shape: digits with their pixels shuffled (one permutation), inverted, with noise of standard
deviation 0.3, and grey patches of photographs. AUROC 0.5 is chance, 1 perfect, and below 0.5 the score
prefers the other data. The plot holds the shares of p-values: those of held-out digits should follow the diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.objectives import SDE, STEPS, WIDTH, trained
from benchmarks.output import RESULTS, save_table
from sde_diffusion.data import by_name
from sde_diffusion.likelihood.anomalies import ood_scores
from sde_diffusion.metrics import auroc, p_values
from sde_diffusion.objectives import ContinuousBound
from sde_diffusion.report.plots.anomalies import anomaly_plot

HALF = 180


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def strangers(digits: Tensor) -> dict[str, Tensor]:
    order = torch.randperm(64, generator=rng(1))
    noisy = digits + 0.3 * torch.randn(digits.shape, generator=rng(2))
    grey = by_name("patches", side=8, count=len(digits)).tensors("held_out")[0].mean(1, keepdim=True)
    return {
        "shuffled": digits.flatten(1)[:, order].reshape(digits.shape),
        "inverted": -digits,
        "noisy": noisy.clamp(-1, 1),
        "patches": grey,
    }


def dequantised(x: Tensor, seed: int) -> Tensor:
    """Noise of a level's width for all alike, so that no score depends on the quantization itself."""
    return x + WIDTH * (torch.rand(x.shape, generator=rng(seed)) - 0.5)


def main() -> None:
    torch.set_num_threads(1)
    source = by_name("digits")
    data, held_out = source.tensors("train")[0], source.tensors("held_out")[0]
    denoiser = trained(ContinuousBound(), "mean", data)
    digits = held_out[HALF : 2 * HALF]
    sets = {name: dequantised(x, 5) for name, x in {"held out": digits, **strangers(digits)}.items()}
    calibration, found = ood_scores(SDE, denoiser, dequantised(held_out[:HALF], 4), sets, data_std=data.std().item())
    names, rows, p = list(sets)[1:], [], {}
    for score, by_set in found.items():
        p[score] = {name: p_values(values, calibration[score]) for name, values in by_set.items()}
        areas = [f"{auroc(by_set[name], by_set['held out']):.3f}" for name in names]
        share = (p[score]["held out"] <= 0.05).double().mean().item()
        rows.append([score, *areas, f"{share:.3f}"])
    save_table("anomalies", "AUROC of anomaly scores against held-out digits", ["score", *names, "held-out share of p <= 0.05"],
               rows, steps=STEPS, calibration=HALF, judged=HALF)  # fmt: skip
    counts = {score: len(values) for score, values in calibration.items()}
    anomaly_plot(p, RESULTS / "anomalies.png", "held out", counts)


if __name__ == "__main__":
    main()
