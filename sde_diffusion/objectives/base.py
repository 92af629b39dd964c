"""What an objective is called with, and the adapter for objectives that need the samples alone.

    objective(model, sde, batch, generator, run) -> losses (B,)             sees the batch and the run
    objective(model, sde, x0, generator, **condition) -> losses (B,)        the same for most losses, in fewer words

Both forms are taken wherever an objective is asked for. The first is known by its parameter `run`. An objective that is an
`nn.Module` is trained together with the model, see `learnt_by`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.data.base import Batch

Objective = Callable[..., Tensor]
"""Either of the two forms."""


@dataclass(frozen=True)
class RunContext:
    """What an objective may know of the run that it is the loss of.

    Attributes:
        step: how many steps are done.
        steps: how many the run has.
        average: the averaged model, in eval mode, as it is after `step` steps. Call it under `torch.no_grad()`.
        teacher: a frozen model in eval mode that the caller gave, or None. It is in no checkpoint.
    """

    step: int
    steps: int
    average: nn.Module
    teacher: nn.Module | None = None


@dataclass(frozen=True)
class WithoutRun:
    """The first form of an objective of the second one."""

    objective: Objective

    def __call__(
        self, model: Any, sde: Any, batch: Batch, generator: torch.Generator | None, run: RunContext
    ) -> Tensor:
        """The losses (B,). Raises ValueError for a batch of two data sets, of which only one would be used."""
        if batch.source is not None:
            kind = getattr(self.objective, "__name__", type(self.objective).__name__)
            raise ValueError(f"{kind} takes no second data set; leave `source` out, or give an objective with `run`")
        return self.objective(model, sde, batch.x, generator, **batch.condition)


def learnt_by(objective: Any) -> nn.Module | None:
    """The module with parameters that an objective is, or that the objective within it is; None for any other."""
    if isinstance(objective, nn.Module):
        return objective if any(p.requires_grad for p in objective.parameters()) else None
    inner = getattr(objective, "objective", None)
    return None if inner is None else learnt_by(inner)


def with_run(objective: Objective) -> Objective:
    """The objective in its first form."""
    return objective if "run" in inspect.signature(objective).parameters else WithoutRun(objective)
