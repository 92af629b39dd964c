"""Fashion-MNIST, class-conditional, in 20 minutes on two cores.

References:
    Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364 (preconditioning, weighting)
    Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598
"""

from __future__ import annotations

from pathlib import Path

from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.reproductions import Recipe
from sde_diffusion.evaluation.reproduction import ACCURACY, Goal
from sde_diffusion.specs import spec
from sde_diffusion.training.settings import ComputeSettings, TrainSettings

GOALS = (
    Goal("Frechet, classifier", most=3.0),
    Goal(ACCURACY, least=0.96),
    Goal("recall, classifier", least=0.9),
)
CLASSIFIER = ("Frechet", "KID", "precision", "recall", ACCURACY)
PIXELS = ("Frechet", "KID", "precision", "recall")


def recipe(root: str, quick: bool) -> Recipe:
    """The whole recipe, or a short one that shows that it runs, with a small network and few steps."""
    width, steps = (8, 40) if quick else (24, 7000)
    network = spec("unet", width=width, multipliers=[1, 2, 2], blocks=1, classes=10)
    training = TrainSettings(
        steps=steps, batch_size=32, learning_rate=2e-3, warmup=min(200, steps // 4), betas=(0.9, 0.99), ema_decay=0.999,
        checkpoint_every=1000,
    )  # fmt: skip
    there = any(Path(root, "FashionMNIST", "raw").glob("train-images-idx3-ubyte*"))
    data = spec("fashion_mnist", root=root, download=not there)
    config = RunConfig(network=network, data=data, training=training)
    features = {"classifier": CLASSIFIER} if quick else {"classifier": CLASSIFIER, "pixels": PIXELS}
    nfe, count, taught = (8, 100, 50) if quick else (20, 1000, 500)
    compute = ComputeSettings(precision="bfloat16")
    return Recipe(config, "dpmpp_2m", nfe, count, features, GOALS, "cfg(weight=1.5)", compute, taught)
