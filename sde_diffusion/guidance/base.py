r"""What guidances share: the two answers that they combine, and the range of noise levels in which they act.

A guidance makes a denoiser of denoisers. With D_c the answer for the condition and D_u the one for the null,

    guided D = D_u + w (D_c - D_u),    so w = 1 is the conditional model and w = 0 the unconditional one.            (1)

Ho & Salimans and azula write 1 + w for our w; Imagen, EDM2 and diffusers write w as it is here. The guided score is
s_u + w (s_c - s_u) at each noise level, which is not the score of any noised p(x) p(c | x)^w: see `Ramped`.

References:
    Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598, equation 6
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.conditions.dropped import no_condition
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from solvers.elementwise import Coefficient, along

Null = Mapping[str, Any] | None
"""What stands for no condition, by name; None drops all of them, see `null_of`."""


class Guidance(Denoiser, ABC):
    """A denoiser made of another one that takes a condition.

    Attributes:
        needs_condition: whether it has no meaning without a condition.
    """

    needs_condition = True

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def select(self, rows: Tensor) -> Denoiser:
        """The same guidance of some of the samples; itself where the denoiser has no rows of its own."""
        chosen = self.denoiser.select(rows)
        return self if chosen is self.denoiser else self._of(chosen)

    @abstractmethod
    def _of(self, denoiser: Denoiser) -> Denoiser:
        """The same guidance of another denoiser."""


def both(
    denoiser: Denoiser, x_t: Tensor, kernel: Kernel, condition: Mapping[str, Any], null: Null
) -> tuple[Tensor, Tensor]:
    """(D_c, D_u), shape (B, *E) each, from one call on a batch of 2 B: a sample's answers do not depend on its neighbours.

    Raises ValueError for a call without a condition, and for a null of a condition that was not given.
    """
    with_null = null_of(condition, null)
    n = len(x_t)
    double = {
        name: torch.cat((_rows(value, n, x_t), _rows(with_null[name], n, x_t))) for name, value in condition.items()
    }
    answer = denoiser(torch.cat((x_t, x_t)), Kernel(_twice(kernel.alpha), _twice(kernel.sigma)), **double)
    return answer[:n], answer[n:]


def null_of(condition: Mapping[str, Any], null: Null = None) -> dict[str, Any]:
    """The conditions with those in `null` exchanged; with None all are dropped: -1 for integers, 0 or False else.

    Another class or vector in the place of the null is what is called a negative prompt.
    """
    if not condition:
        raise ValueError("guidance needs a condition, got none; give one to the sampler, such as label=3")
    if null is None:
        return {name: no_condition(torch.as_tensor(value)) for name, value in condition.items()}
    if unknown := set(null) - set(condition):
        raise ValueError(
            f"the null has {min(unknown)!r}, and the condition {', '.join(condition)}; take a name of these"
        )
    return {**condition, **null}


def level_of(kernel: Kernel) -> Coefficient:
    """The noise level sigma/alpha, in units of the data: a float, or a tensor of shape () or (B,); inf without any signal."""
    if isinstance(kernel.alpha, Tensor) or kernel.alpha:
        return kernel.sigma / kernel.alpha
    return math.inf


def inside(kernel: Kernel, interval: tuple[float, float]) -> bool | Tensor:
    """Whether low < sigma/alpha <= high: True or False for one level, a tensor for levels in tensors."""
    level, (low, high) = level_of(kernel), interval
    return (level > low) & (level <= high)


def check_range(name: str, low: float, high: float) -> None:
    """Raises ValueError for a range of noise levels that is none."""
    if not 0 <= low < high:
        raise ValueError(f"{name} is a range of noise levels (low, high) with 0 <= low < high, got ({low:g}, {high:g})")


def where(chosen: bool | Tensor, guided: Tensor, plain: Tensor) -> Tensor:
    """The guided answer of the samples whose noise level, () or (B,), is inside of a range, and the plain one of the others."""
    return torch.where(torch.as_tensor(along(torch.as_tensor(chosen), guided)).bool(), guided, plain)


def _rows(value: Any, n: int, x: Tensor) -> Tensor:
    """One row for each of n samples: a tensor whose first axis is n, or the same for all."""
    found = torch.as_tensor(value, device=x.device)
    return found if found.ndim and len(found) == n else found.expand(n, *found.shape)


def _twice(level: Coefficient) -> Coefficient:
    return torch.cat((level, level)) if isinstance(level, Tensor) and level.ndim else level
