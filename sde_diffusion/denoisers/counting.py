"""A denoiser that counts its calls: what a sampler costs is measured, not declared."""

from __future__ import annotations

from typing import Self

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel


class CallCounter(Denoiser):
    """The answers of `denoiser`, counted.

    Attributes:
        calls: how many times the denoiser was called.
        rows: of how many samples in all: an adaptive solver calls it for a part of a batch.
    """

    def __init__(self, denoiser: Denoiser, count: dict[str, int] | None = None) -> None:
        """`count` is the record to go on with: a counter for some of the rows shares that of the whole batch."""
        super().__init__()
        self.denoiser = denoiser
        self._count = {"calls": 0, "rows": 0} if count is None else count

    @property
    def calls(self) -> int:
        """The calls so far."""
        return self._count["calls"]

    @property
    def rows(self) -> int:
        """The samples of all calls so far."""
        return self._count["rows"]

    def select(self, rows: Tensor) -> Self:
        """The counter of the same record for some of the samples."""
        chosen = self.denoiser.select(rows)
        return self if chosen is self.denoiser else type(self)(chosen, self._count)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The denoiser's answer, shape (B, *E)."""
        self._count["calls"] += 1
        self._count["rows"] += len(x_t)
        return self.denoiser(x_t, kernel, **condition)
