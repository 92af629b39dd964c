"""A log-probability that knows how far it may be off, and from what.

Everything inside is in nats; `bits_per_dim` is the one way out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class LogProb:
    """log p(x), or a lower bound of it, for a batch.

    Attributes:
        value: (B,), in nats.
        size: how many numbers an event has.
        errors: standard errors of `value` by source, each (B,), in nats, independent of each other.
        terms: what `value` is made of or was measured beside it, each (B,), in nats.
        freedom: degrees of freedom (B,) of the first of `errors`, an empirical one; infinite without it.

    Raises FloatingPointError for values that are NaN or infinite, or errors that are NaN.
    """

    value: Tensor
    size: int
    errors: Mapping[str, Tensor]
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    freedom: Tensor | None = None

    def __post_init__(self) -> None:
        known = torch.stack([self.value.isfinite(), *(~error.isnan() for error in self.errors.values())])
        if not bool(known.all()):
            bad = (~known.all(0)).nonzero()[:, 0]
            raise FloatingPointError(
                f"the log-probabilities of {len(bad)} of {len(self.value)} points are NaN or infinite, the first is number "
                f"{int(bad[0])}: the denoiser's answer is not finite there; look at the weights, or leave such points out"
            )

    def __str__(self) -> str:
        """Each value with its standard error, in nats."""
        pairs = zip(self.value.tolist(), self.standard_error.tolist(), strict=True)
        return "log p in nats: " + ", ".join(f"{value:.4f} ± {error:.4f}" for value, error in pairs)

    @property
    def standard_error(self) -> Tensor:
        """The root of the sum of the squares of `errors`, (B,)."""
        return torch.stack(list(self.errors.values())).square().sum(0).sqrt()

    def interval(self, level: float = 0.95) -> tuple[Tensor, Tensor]:
        """(low, high), each (B,): the first error by Student's quantile of its freedom, the others by the normal one.

        Raises ValueError for a level outside (0, 1).
        """
        if not 0 < level < 1:
            raise ValueError(f"a level lies in (0, 1), got {level}; give 0.95")
        first, *others = self.errors.values()
        half = (_quantile(level, self.freedom, first) * first).square()
        for error in others:
            half = half + (_quantile(level, None, error) * error).square()
        return self.value - half.sqrt(), self.value + half.sqrt()

    def without(self, *names: str) -> LogProb:
        """The same without some of the terms that were added to `value`, and without their errors; KeyError for others."""
        value = self.value - sum(self.terms[name] for name in names)
        kept = {name: error for name, error in self.errors.items() if name not in names}
        return replace(self, value=value, errors=kept)

    @classmethod
    def joined(cls, parts: Sequence[LogProb]) -> LogProb:
        """Several batches as one, from results with the same errors and terms."""

        def of(get: Callable[[LogProb], Any]) -> Tensor:
            return torch.cat([get(part) for part in parts])

        errors = {name: of(lambda part, name=name: part.errors[name]) for name in parts[0].errors}
        terms = {name: of(lambda part, name=name: part.terms[name]) for name in parts[0].terms}
        freedom = None if parts[0].freedom is None else of(lambda part: part.freedom)
        return cls(of(lambda part: part.value), parts[0].size, errors, terms, freedom)

    def bits_per_dim(self) -> tuple[float, float]:
        """(mean over the batch of -log2 p / size, its standard error over events drawn like these)."""
        bits = self.value.double() / (-math.log(2) * self.size)
        spread = bits.std().item() / math.sqrt(len(bits)) if len(bits) > 1 else math.nan
        return bits.mean().item(), spread


def _quantile(level: float, freedom: Tensor | None, like: Tensor) -> Tensor:
    """Of Student's law (B,), or of the normal law ()."""
    from scipy.special import ndtri, stdtrit

    tail = (1 + level) / 2
    if freedom is None:
        return torch.as_tensor(ndtri(tail), dtype=like.dtype, device=like.device)
    found = stdtrit(freedom.double().cpu().clamp(max=1e6).numpy(), tail)
    return torch.as_tensor(found, dtype=like.dtype, device=like.device)
