"""Averages of the weights by power-function profiles, from whose snapshots any other length is made after training.

See `power_profile` for the profile, `snapshots` for what is kept, `post_hoc` for the reconstruction.

References:
    Karras, Aittala, Lehtinen, Hellsten, Aila & Laine, Analyzing and Improving the Training Dynamics of Diffusion Models,
        2024, https://arxiv.org/abs/2312.02696, section 3
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Self

from torch import Tensor, nn

from sde_diffusion.training.ema.average import Average
from sde_diffusion.training.ema.profile import decay, gamma_of


@dataclass(frozen=True)
class PowerAverages:
    """The averages of one model by their lengths `sigma_rel`; none of them, unless it was made by `of`."""

    averages: dict[float, Average] = field(default_factory=dict)

    @classmethod
    def of(cls, source: nn.Module, lengths: Iterable[float]) -> Self:
        """Averages of these lengths of the parameters of `source`; ValueError for a length out of range."""
        return cls({length: Average(partial(decay, gamma_of(length)), source) for length in lengths})

    def update(self) -> None:
        """Take in the weights as they are now, one fused operation for each length."""
        for average in self.averages.values():
            average.update()

    def state_dict(self) -> dict[str, Tensor]:
        """All averages, in shares where the source is, as `0.05/name.of.parameter`."""
        return {
            f"{length}/{name}": value
            for length, one in self.averages.items()
            for name, value in one.state_dict().items()
        }

    def begin_at(self, step: int) -> None:
        """Go on as after `step` updates: every step of a run is one."""
        for average in self.averages.values():
            average.count = step
