"""A denoiser with what is known of its data, and the noise levels at which it is evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact.law import Law
from sde_diffusion.kernel import Kernel
from solvers.random import digest, mix, normals

LEVELS = (0.05, 0.2, 0.6, 1.5, 6.0)
"""kappa = sigma/alpha, in units of the data's standard deviation."""


@dataclass(frozen=True)
class Observed:
    """What the checks use.

    Attributes:
        denoiser: the subject.
        law: of its data, where it is known.
        x0: data (N, *E), or normal numbers where there is none.
        informed: whether x0 are data.
        scale: their standard deviation.
    """

    denoiser: Denoiser
    law: Law | None
    x0: Tensor
    informed: bool
    scale: float

    @classmethod
    def of(
        cls, denoiser: Denoiser, law: Law | None, data: Tensor | None, event_shape: Sequence[int] | None, samples: int
    ) -> Observed:
        """From what was given to `check_denoiser`. Raises ValueError where that is nothing."""
        held = (p for p in chain(denoiser.parameters(), denoiser.buffers()) if p.is_floating_point())
        like = next(held, torch.empty(0, dtype=torch.float64))
        if data is None and law is not None:
            data = law.to(torch.float64, torch.device("cpu")).sample(samples, torch.Generator().manual_seed(9))
        if data is None and event_shape is None:
            raise ValueError("check_denoiser needs law=, data= or event_shape=; give the one that is known")
        informed = data is not None
        if data is None:
            data = normals(torch.arange(16), tuple(event_shape or ()), torch.float64)
        x0 = data[:samples].to(like)
        return cls(denoiser, law, x0, informed, x0.double().std().item() or 1.0)

    def kernel(self, level: float) -> Kernel:
        """The variance-preserving channel of a level."""
        kappa = level * self.scale
        return Kernel(1 / math.hypot(1, kappa), kappa / math.hypot(1, kappa))

    def noisy(self, kernel: Kernel, seed: int = 1) -> Tensor:
        """x_t for all data, with noise that belongs to (seed, sample)."""
        return kernel.perturb(self.x0, self.normals(seed))

    def normals(self, stream: int) -> Tensor:
        """Normal numbers for every datum, (N, *E): a function of the stream and its number."""
        keys = mix(digest(stream), torch.arange(len(self.x0), device=self.x0.device))
        return normals(keys, tuple(self.x0.shape[1:]), self.x0.dtype)

    @torch.no_grad()
    def answer(self, x: Tensor, kernel: Kernel) -> Tensor:
        """The denoiser's output, (B, *E)."""
        return self.denoiser(x, kernel)

    @property
    def rounding(self) -> float:
        """What arithmetic in the data's dtype may change, in units of the data."""
        return (1e-7 if self.x0.dtype == torch.float64 else 1e-3) * max(self.scale, 1.0)
