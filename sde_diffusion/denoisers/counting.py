"""A denoiser that counts its calls: what a sampler costs is measured, not declared."""

from __future__ import annotations

from typing import Any

from sde_diffusion.denoisers.base import Denoiser


class CallCounter(Denoiser):
    """The answers of `inner`, told `condition` each time.

    `calls` says how often it was asked, `rows` about how many samples in all: an adaptive solver asks about some of a batch.
    """

    def __init__(self, inner: Denoiser, **condition: Any) -> None:
        super().__init__()
        self.inner, self.condition, self.calls, self.rows = inner, condition, 0, 0

    def forward(self, x_t, kernel, **condition):
        """The inner denoiser's answer, shape (B, *E)."""
        self.calls += 1
        self.rows += len(x_t)
        return self.inner(x_t, kernel, **self.condition, **condition)
