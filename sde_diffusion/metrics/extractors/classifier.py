"""The features of a classifier of the data set itself."""

from __future__ import annotations

from sde_diffusion.metrics.classifier import Classifier
from sde_diffusion.metrics.extractors.base import Extractor


def classifier(classifier: Classifier) -> Extractor:
    """The last hidden layer of a small classifier, trained on labelled pictures that nothing is compared with."""
    return classifier.features
