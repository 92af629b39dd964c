"""Metrics: how far samples are from data, each a function of feature tensors (N, D).

    extractor = inception()                                      # or classifier.features, pixels(), or any of your own
    x, truth = extracted(extractor, samples), extracted(extractor, held_out)
    frechet(x, truth)                                            # a plain number
    estimate_distance(frechet, x, truth)                         # Estimate: 3.1 [2.7, 3.4], with n and seed
    estimate_kernel_distance(x, truth)                           # KID
    estimate_manifold(x, truth)                                  # precision, recall, density, coverage

See docs/metrics.md for what each is blind to and what its interval covers.
"""

from __future__ import annotations

from sde_diffusion.metrics.auroc import auroc
from sde_diffusion.metrics.bootstrap import bootstrap
from sde_diffusion.metrics.classes import class_shares, total_variation
from sde_diffusion.metrics.classifier import Classifier, train_classifier
from sde_diffusion.metrics.energy import energy_distance, estimate_energy_distance
from sde_diffusion.metrics.estimate import Estimate, from_error, from_share
from sde_diffusion.metrics.extractors import Extractor, extracted, inception, pixels
from sde_diffusion.metrics.frechet import frechet, frechet_of_moments
from sde_diffusion.metrics.half_samples import estimate_distance, half_sampled
from sde_diffusion.metrics.kernel_distance import estimate_kernel_distance, kernel_distance
from sde_diffusion.metrics.manifold import density_coverage, estimate_manifold, precision_recall
from sde_diffusion.metrics.nearest import copied_share, nearest
from sde_diffusion.metrics.p_values import p_values
from sde_diffusion.metrics.sliced_wasserstein import sliced_wasserstein

__all__ = [
    "Classifier",
    "Estimate",
    "Extractor",
    "auroc",
    "bootstrap",
    "class_shares",
    "copied_share",
    "density_coverage",
    "energy_distance",
    "estimate_distance",
    "estimate_energy_distance",
    "estimate_kernel_distance",
    "estimate_manifold",
    "extracted",
    "frechet",
    "frechet_of_moments",
    "from_error",
    "from_share",
    "half_sampled",
    "inception",
    "kernel_distance",
    "nearest",
    "p_values",
    "pixels",
    "precision_recall",
    "sliced_wasserstein",
    "total_variation",
    "train_classifier",
]
