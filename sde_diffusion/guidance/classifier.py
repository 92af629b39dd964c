r"""Classifier guidance: the gradient of a classifier of noisy data, added to the score.

    score + w grad log p(c | x_t),   hence   D + w (sigma^2 / alpha) grad log p(c | x_t).                           (1)

References:
    Dhariwal & Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021, https://arxiv.org/abs/2105.05233, equation 14
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel


class ClassifierGuidance(Denoiser):
    """Equation (1). The gradient is taken at x_t, not at the estimate of the data, and for each sample by itself.

    Args:
        denoiser: the unconditional model, or a conditional one, which then gets the condition too.
        log_class: (x_t, kernel, **condition) -> log p(c | x_t), shape (B,), differentiable in x_t.
        weight: w; 0 is the denoiser, bit for bit.
        conditional: whether the denoiser takes the condition as well.

    Raises ValueError at a call where log_class gives another shape than (B,).
    """

    def __init__(
        self, denoiser: Denoiser, log_class: Callable[..., Tensor], weight: float = 1.0, conditional: bool = False
    ) -> None:
        super().__init__()
        self.denoiser, self.log_class, self.weight, self.conditional = denoiser, log_class, weight, conditional

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The guided estimate of the data, shape (B, *E)."""
        plain = self.denoiser(x_t, kernel, **(condition if self.conditional else {}))
        if not self.weight:
            return plain
        alpha, sigma = kernel.over(x_t)
        return plain + self.weight * sigma**2 / alpha * self._gradient(x_t, kernel, condition)

    def _gradient(self, x_t: Tensor, kernel: Kernel, condition: dict[str, Any]) -> Tensor:
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            found = self.log_class(x, kernel, **condition)
            if found.shape != (len(x),):
                raise ValueError(f"log_class gives one number a sample, ({len(x)},), got {tuple(found.shape)}")
            return torch.autograd.grad(found.sum(), x)[0]

    def select(self, rows: Tensor) -> Denoiser:
        """The same of some of the samples."""
        chosen = self.denoiser.select(rows)
        if chosen is self.denoiser:
            return self
        return ClassifierGuidance(chosen, self.log_class, self.weight, self.conditional)
