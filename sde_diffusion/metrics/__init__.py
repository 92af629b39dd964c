"""Metrics: how far samples are from data, each a function of feature tensors (N, D) that returns a plain number.

    truth = classifier.features(x_held_out)
    bootstrap(frechet, classifier.features(samples), truth)                            # Estimate: 3.1 [2.7, 3.4]

Pictures are compared by the features of a `Classifier`; points of the plane as they are.
"""

from __future__ import annotations

from sde_diffusion.metrics.auroc import auroc
from sde_diffusion.metrics.bootstrap import bootstrap
from sde_diffusion.metrics.classes import class_shares, total_variation
from sde_diffusion.metrics.classifier import Classifier, train_classifier
from sde_diffusion.metrics.energy import energy_distance
from sde_diffusion.metrics.estimate import Estimate
from sde_diffusion.metrics.frechet import frechet, frechet_of_moments
from sde_diffusion.metrics.nearest import copied_share, nearest
from sde_diffusion.metrics.p_values import p_values
from sde_diffusion.metrics.sliced_wasserstein import sliced_wasserstein

__all__ = [
    "Classifier",
    "Estimate",
    "auroc",
    "bootstrap",
    "class_shares",
    "copied_share",
    "energy_distance",
    "frechet",
    "frechet_of_moments",
    "nearest",
    "p_values",
    "sliced_wasserstein",
    "total_variation",
    "train_classifier",
]
