r"""Powers and products of laws by weighted particles: what guidance means to draw, drawn.

The target is q_t ~ prod_i p_{i,t}^{a_i}, each p_i noised by the process, with exponents a_i that move from those of one law at
high noise, where all p_i are alike, to the wanted ones. In y = x/alpha with kappa = sigma/alpha and v = kappa^2, which falls by
dv > 0 a step, and scores s_i = (D_i - y)/v, the particles follow the reverse SDE of S = sum a_i s_i, and

    d log w = -1/2 (sum a_i |s_i|^2 - |S|^2) dv + sum_i log p_i da_i,                                              (1)
    d log p_i = <s_i, dy> - |s_i|^2/2 dv,                                                                          (2)

(1) by the trapezoid rule, (2) along the particle's own path, in Ito's sense (the score where the step begins): no density and
no further call of the network is needed. Classifier-free guidance has a = (w, 1 - w) for the conditional and the
unconditional law; its rate w (w - 1)/2 |s_c - s_u|^2 dv has no bound, so that sets are small and many.

Where the answers come in one call of twice the rows, so do those of a step here: weights cost no call. (2) is noisy where
steps are long and the dimension is high; the ESS of the outcome says so.

References:
    Skreta et al., Feynman-Kac Correctors in Diffusion, 2025, https://arxiv.org/abs/2503.02819 ((1) with constant exponents)
    Skreta et al., The Superposition of Diffusion Models, 2024, https://arxiv.org/abs/2412.17762 ((2))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.conditioned import rows_for
from sde_diffusion.guidance.base import Null, both, check_range, level_of
from sde_diffusion.kernel import Kernel
from solvers.elementwise import along
from solvers.particles import Look, Weighting

START, END = 2.0, 0.1
"""Noise levels between which the exponents move: later than those of `Ramped`, for (2) is noisy and adds up on its way."""

Answers = Callable[[Tensor, Kernel], Tensor]
"""(x_t, kernel) -> the answers D_i of all laws, shape (K, B, *E)."""


class _Memory(NamedTuple):
    """Of the look before, each with the batch first: y (B, d), scores (B, K, d), log p_i (B, K), the rate and v, (B,)."""

    y: Tensor
    scores: Tensor
    logs: Tensor
    rate: Tensor
    v: Tensor


class Corrected(Weighting):
    """Equations (1) and (2).

    Args:
        answers: the denoisers, one call a look.
        wanted: the exponents a_i of the target.
        first: those at high noise; they sum to 1, since all p_i are alike there.
        start, end: noise levels sigma/alpha between which the exponents move, in proportion to the level's logarithm.

    Raises ValueError for levels that are no range, or exponents that do not fit.
    """

    def __init__(
        self, answers: Answers, wanted: Sequence[float], first: Sequence[float], start: float = START, end: float = END
    ) -> None:
        check_range("(end, start)", end, start)
        if len(wanted) != len(first) or abs(sum(first) - 1) > 1e-9 or end == 0:
            raise ValueError(
                f"there is an exponent for each law, the first ones sum to 1, and end is above 0, got {tuple(wanted)}, "
                f"{tuple(first)} and {end:g}; write (w, 1 - w) and (1, 0) for guidance"
            )
        self.answers, self.start, self.end = answers, start, end
        self.wanted, self.first = (torch.tensor(tuple(one), dtype=torch.float64) for one in (wanted, first))

    def look(self, question: tuple[Any, ...], memory: _Memory | None) -> Look:
        """The answer of S, and equation (1) since the look before."""
        x_t, kernel = question
        found = self.answers(x_t, kernel)
        exponents = self.exponents(kernel)
        a = exponents.to(found)
        mixed = torch.tensordot(a, found, 1)
        answer = mixed + (1 - a.sum()) * x_t / along(kernel.alpha, x_t)
        now = self._memory(x_t, kernel, found, exponents, memory)
        gain = torch.zeros_like(now.rate)
        if memory is not None:
            moved = exponents - self._exponents(memory.v[0].sqrt().item())
            gain = (memory.rate + now.rate) / 2 * (memory.v - now.v) + (memory.logs + now.logs) / 2 @ moved.to(now.logs)
        return Look(answer, None, gain, now)

    def last(self, question: tuple[Any, ...], memory: _Memory | None) -> Look:
        """The same at the end."""
        return self.look(question, memory)

    def exponents(self, kernel: Kernel) -> Tensor:
        """a_i at a noise level, shape (K,)."""
        return self._exponents(float(level_of(kernel)))

    def _exponents(self, level: float) -> Tensor:
        share = math.log(self.start / level) / math.log(self.start / self.end) if level > 0 else 1.0
        return self.first + min(1.0, max(0.0, share)) * (self.wanted - self.first)

    def _memory(self, x_t: Tensor, kernel: Kernel, found: Tensor, a: Tensor, before: _Memory | None) -> _Memory:
        y = (x_t / along(kernel.alpha, x_t)).flatten(1).double()
        v = torch.full((len(y),), float(level_of(kernel)) ** 2, dtype=y.dtype, device=y.device)
        scores = (found.flatten(2).double().transpose(0, 1) - y.unsqueeze(1)) / v[0]
        squares, total = scores.square().sum(2), torch.einsum("k,bkd->bd", a.to(scores), scores)
        rate = (total.square().sum(1) - squares @ a.to(scores)) / 2
        return _Memory(y, scores, self._logs(y, v, squares, before), rate, v)

    def _logs(self, y: Tensor, v: Tensor, squares: Tensor, before: _Memory | None) -> Tensor:
        """Equation (2), from log N(y; 0, v) at the beginning, each up to a number that is the same for all particles."""
        if before is None:
            return (-y.square().sum(1) / (2 * v)).unsqueeze(1).expand_as(squares)
        along_path = torch.einsum("bkd,bd->bk", before.scores, y - before.y)
        return before.logs + along_path - before.scores.square().sum(2) / 2 * (before.v - v).unsqueeze(1)


class CorrectedGuidance(Corrected):
    """Classifier-free guidance of weight w, corrected: draws p(x | c) p(c | x)^(w - 1).

    Args:
        denoiser: takes the condition as keyword arguments, and its null.
        weight: w; 1 is the conditional model.
        condition: one for all samples, see `denoisers.conditioned.rows_for`.
        start, end: see `Corrected`; the particles follow the field of `Ramped`.
        null: what stands for no condition, see `guidance.base.null_of`.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        weight: float,
        condition: dict[str, Any],
        start: float = START,
        end: float = END,
        null: Null = None,
    ) -> None:
        def answers(x_t: Tensor, kernel: Kernel) -> Tensor:
            return torch.stack(both(denoiser, x_t, kernel, rows_for(condition, len(x_t), x_t.device), null))

        super().__init__(answers, (weight, 1 - weight), (1.0, 0.0), start, end)


class Product(Corrected):
    """The product of the laws of several denoisers, each to a power: prod_i p_i(x)^{a_i}, a_i = 1 unless given."""

    def __init__(
        self,
        denoisers: Sequence[Denoiser],
        exponents: Sequence[float] | None = None,
        start: float = START,
        end: float = END,
    ) -> None:
        count = len(denoisers)

        def answers(x_t: Tensor, kernel: Kernel) -> Tensor:
            return torch.stack([one(x_t, kernel) for one in denoisers])

        super().__init__(answers, exponents or [1.0] * count, [1 / count] * count, start, end)
