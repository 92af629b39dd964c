"""The recipes that `reproduce` knows: each a module with a `recipe(root, quick)`, and the figures that are expected of it as JSON."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.io.plain import read_json
from sde_diffusion.specs import nearest
from sde_diffusion.training.settings import ComputeSettings

if TYPE_CHECKING:
    from sde_diffusion.cli.config import RunConfig
    from sde_diffusion.evaluation.reproduction import Goal


@dataclass(frozen=True)
class Recipe:
    """What is trained, sampled and compared.

    Attributes:
        config: the run.
        sampler, nfe, guidance: how it is sampled.
        count: at most so many held-out examples, and as many samples, are compared.
        features: the figures that are measured, by the features that they compare.
        goals: what is asked of them.
        compute: how a step is computed.
        classifier_steps: of the classifier's training.
    """

    config: RunConfig
    sampler: str
    nfe: int
    count: int
    features: Mapping[str, Sequence[str]]
    goals: Sequence[Goal]
    guidance: str | None = None
    compute: ComputeSettings = field(default_factory=ComputeSettings)
    classifier_steps: int = 500


def names() -> list[str]:
    """The names of all, as they are written on the command line."""
    return sorted(info.name.replace("_", "-") for info in pkgutil.iter_modules(__path__))


def recipe(name: str, root: str, quick: bool) -> Recipe:
    """The recipe of a name, with its data at `root`. Raises ValueError for a name that there is none of."""
    if name not in names():
        raise ValueError(f"there is no recipe {name!r} to reproduce; {nearest(name, names())}")
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").recipe(root, quick)


def expected(name: str) -> dict[str, Any]:
    """The published figures: `status`, `figures`, `bill`."""
    return read_json(Path(__path__[0], f"{name.replace('-', '_')}.json"))
