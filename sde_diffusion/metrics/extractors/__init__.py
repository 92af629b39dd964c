"""Extractors: the features in which two sets of examples are compared. Each is a function that returns an `Extractor`."""

from __future__ import annotations

from sde_diffusion.metrics.extractors.base import Extractor, extracted
from sde_diffusion.metrics.extractors.classifier import classifier
from sde_diffusion.metrics.extractors.inception import inception
from sde_diffusion.metrics.extractors.pixels import pixels

__all__ = ["Extractor", "classifier", "extracted", "inception", "pixels"]
