"""A denoiser with its condition filled in: a class label, an observation or a mask, one for all samples or one for each."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel


class Conditioned(Denoiser):
    """The conditional denoiser E[x_0 | x_t, condition] as a denoiser without arguments, for any sampler.

        Conditioned(denoiser, label=3)                          class 3 for every sample
        Conditioned(denoiser, label=torch.arange(10))           class i for sample i, a batch of 10

    Args:
        denoiser: what takes the condition as keyword arguments.
        condition: numbers and tensors of shape (), the same for all samples, or tensors whose first axis is the batch:
            row i belongs to sample i. A Python integer or float becomes the row of every sample, shape (B,).

    Raises:
        ValueError: at a call or in `select`, where a tensor's rows are not those of the batch.
    """

    def __init__(self, denoiser: Denoiser, **condition: Any) -> None:
        super().__init__()
        self.denoiser, self.condition = denoiser, condition

    def select(self, rows: Tensor) -> Self:
        """The same for some of the samples; `self` where no condition has rows."""
        inner = self.denoiser.select(rows)
        if inner is self.denoiser and not any(map(_has_rows, self.condition.values())):
            return self
        return type(self)(inner, **{name: _pick(name, value, rows) for name, value in self.condition.items()})

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The denoiser's answer, shape (B, *E)."""
        own = {name: _for_batch(name, value, x_t) for name, value in self.condition.items()}
        return self.denoiser(x_t, kernel, **own, **condition)


def _has_rows(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0


def _pick(name: str, value: Any, rows: Tensor) -> Any:
    """The rows of a condition, on its own device."""
    if not _has_rows(value):
        return value
    if rows.dtype == torch.bool:
        fits = len(rows) == len(value)
    else:
        fits = rows.device.type != "cpu" or not rows.numel() or int(rows.max()) < len(value)
    if not fits:
        needed = len(rows) if rows.dtype == torch.bool else int(rows.max()) + 1
        raise ValueError(f"{name!r} has {len(value)} rows for at least {needed} samples; give one row for each sample")
    return value[rows.to(value.device)]


def _for_batch(name: str, value: Any, x_t: Tensor) -> Any:
    """A number as one row for each sample; tensors as they are, checked."""
    if isinstance(value, bool | int | float):
        return torch.full((len(x_t),), value, device=x_t.device)
    if _has_rows(value) and len(value) != len(x_t):
        raise ValueError(
            f"{name!r} has {len(value)} rows and the batch {len(x_t)} samples; give one row for each sample, or one "
            "number for all"
        )
    return value


def rows_for(condition: dict[str, Any], n: int, device: torch.device | None = None) -> dict[str, Tensor]:
    """One condition for n samples, a row for each: of numbers, tensors of shape (), or tensors of one row (1, ...)."""
    found = {name: torch.as_tensor(value, device=device) for name, value in condition.items()}
    for name, value in found.items():
        if value.ndim and len(value) != 1:
            raise ValueError(f"{name!r} is one for all samples, got {len(value)} rows; give one row")
    return {name: value.expand(n, *value.shape[1:]) for name, value in found.items()}
