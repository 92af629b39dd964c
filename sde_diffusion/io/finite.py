"""Weights are looked at once, when they are read, and results once, when they leave the program: NaN and infinity are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def refuse_weights_not_finite(weights: Mapping[str, Tensor], source: str | Path) -> None:
    """Raises FloatingPointError, with the name of the first one, unless all tensors of `source` are finite."""
    for name, value in weights.items():
        bad = int((~value.isfinite()).sum())
        if bad:
            raise FloatingPointError(
                f"{source}: {bad} of {value.numel()} numbers of {name} are NaN or infinite, and no sample of such a network "
                "is finite; take an earlier checkpoint or an undamaged copy"
            )


_WHY = (
    "the denoiser's answer is not finite, or the solver's steps are too long; look at the weights, or take more steps"
)


def finite_rows(x: Tensor, what: str, first: int | Tensor = 0, why: str = _WHY) -> Tensor:
    """x (B, ...) itself, results called `what` of which x[0] has the number `first`.

    Raises FloatingPointError, with how many rows are meant and why, where one holds NaN or infinity.
    """
    good = x.isfinite().flatten(1).all(1) if x.ndim > 1 else x.isfinite()
    if not bool(good.all()):
        bad = (~good).nonzero()[:, 0]
        raise FloatingPointError(
            f"{len(bad)} of {len(x)} {what} are NaN or infinite, the first is number {int(first) + int(bad[0])}: {why}"
        )
    return x
