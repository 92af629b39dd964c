"""Classifier-free guidance: the conditional answer, extrapolated away from the unconditional one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.guidance.base import Guidance, Null, both, check_range, inside, null_of, where
from sde_diffusion.kernel import Kernel
from solvers.elementwise import along, axpy


class ClassifierFree(Guidance):
    """D_u + w (D_c - D_u), equation (1) of `guidance.base`, at the noise levels of an interval; D_c at the others.

        Conditioned(ClassifierFree(denoiser, weight=3), label=7)

    With 0 < `rescale` <= 1 the answer is scaled towards the deviation of D_c, over the numbers of each sample:
    (rescale std(D_c) / std(D_w) + 1 - rescale) D_w. It is done on the estimate of the data, whatever the network predicts.

    Args:
        denoiser: takes the condition as keyword arguments, and its null: it was trained with conditions dropped.
        weight: w. 1 is the conditional model and 0 the unconditional one, bit for bit, of one call each.
        interval: (low, high) of noise levels sigma/alpha in the model's coordinates; guided where low < level <= high.
        null: what stands for no condition, see `null_of`; another class there is a negative prompt.
        rescale: the share of the correction of the deviation.

    Raises ValueError for an interval or a share that is none; at a call for one without a condition.

    References:
        Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598, equation 6
        Kynkaanniemi et al., Applying Guidance in a Limited Interval, 2024, https://arxiv.org/abs/2404.07724, equation 5
        Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed, 2023, https://arxiv.org/abs/2305.08891,
            equations 15 and 16
    """

    name = "cfg"

    def __init__(
        self,
        denoiser: Denoiser,
        weight: float,
        interval: Sequence[float] = (0.0, math.inf),
        null: Null = None,
        rescale: float = 0.0,
    ) -> None:
        super().__init__(denoiser)
        low, high = interval
        check_range("interval", low, high)
        if not 0 <= rescale <= 1:
            raise ValueError(f"rescale is a share in [0, 1], got {rescale:g}; 0.7 is usual")
        self.weight, self.interval, self.null, self.rescale = weight, (low, high), null, rescale

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The guided estimate of the data, shape (B, *E)."""
        chosen = inside(kernel, self.interval)
        if self.weight == 1 or chosen is False:
            return self.denoiser(x_t, kernel, **condition)
        if self.weight == 0 and chosen is True:
            return self.denoiser(x_t, kernel, **null_of(condition, self.null))
        wanted, unwanted = both(self.denoiser, x_t, kernel, condition, self.null)
        guided = self._rescaled(axpy(unwanted, self.weight, wanted - unwanted), wanted)
        return guided if chosen is True else where(chosen, guided, wanted)

    def _rescaled(self, guided: Tensor, wanted: Tensor) -> Tensor:
        if not self.rescale:
            return guided
        deviation = [one.flatten(1).std(1, correction=0) for one in (wanted, guided)]
        ratio = deviation[0] / deviation[1].clamp_min(torch.finfo(guided.dtype).tiny)
        return guided * along(self.rescale * ratio + 1 - self.rescale, guided)

    def _of(self, denoiser: Denoiser) -> ClassifierFree:
        return ClassifierFree(denoiser, self.weight, self.interval, self.null, self.rescale)
