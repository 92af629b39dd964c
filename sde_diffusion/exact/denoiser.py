r"""The denoiser of a known law: a network that has learned everything and makes no error."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact.law import Law
from sde_diffusion.kernel import Kernel


class ExactDenoiser(Denoiser):
    """E[x_0 | x_t] of `law`, (B, *E) -> (B, *E).

    The tensors of the law are buffers: `to(...)` moves this denoiser and does not change the law it was made from.
    """

    def __init__(self, law: Law) -> None:
        super().__init__()
        self._outline = law.to(device="meta")
        for name, value in law.tensors().items():
            self.register_buffer(name, value)

    @property
    def law(self) -> Law:
        """The law in the denoiser's present dtype and on its present device."""
        return self._outline.with_tensors(dict(self.named_buffers()))

    def forward(self, x_t: Tensor, kernel: Kernel, **condition: Any) -> Tensor:
        """E[x_0 | x_t], shape (B, *E), in the dtype of x_t; the law takes no condition (TypeError)."""
        if condition:
            raise TypeError(f"an exact law knows no condition, got {', '.join(condition)}; call it with (x_t, kernel)")
        return self.law.denoise(x_t, kernel)
