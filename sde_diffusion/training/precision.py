r"""Number formats of a step: what is rounded to 16 bits, and the scale that keeps float16 gradients from vanishing.

The stated policy on TF32: `float32` means float32, in matrix products and in convolutions; `tf32` allows both to round
their inputs to 10 bits of mantissa; the 16-bit formats leave what stays in float32 to TF32. Weights, moments and
averages are float32 in all of them, for autocast rounds copies.

Float16 has no numbers below 6e-8: the loss is multiplied by a power of two, S, before its gradient is taken, and the
gradient divided by it in the optimizer's own kernel. A gradient that is not finite halves S and skips the step; 2000
finite ones in a row double it.

References:
    Micikevicius et al., Mixed Precision Training, 2018, https://arxiv.org/abs/1710.03740, section 3.2
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
_LARGEST = 2.0**16
PATIENT = 2000
_KEY = "loss_scale"


@contextmanager
def tf32_policy(precision: str) -> Iterator[None]:
    """The stated policy for the length of the block."""
    allowed = precision != "float32"
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context in which a loss is computed."""
    half = _HALF.get(precision)
    return torch.autocast(device.type, dtype=half or torch.bfloat16, enabled=half is not None)


class LossScale:
    """S and the finite steps since it last changed, on the device, so that no step waits for them. S = 1 stays 1."""

    def __init__(self, precision: str, device: torch.device) -> None:
        start = _LARGEST if precision == "float16" else 1.0
        self.numbers = torch.tensor([start, 0.0], device=device)
        self.moves = precision == "float16"

    @property
    def factor(self) -> Tensor:
        """S, shape ()."""
        return self.numbers[0]

    @torch.no_grad()
    def update(self, skipped: Tensor) -> None:
        """Halve S after a step that was skipped (1.), to 1 at the least; double it when its time has come."""
        if not self.moves:
            return
        scale, run = self.numbers.unbind()
        run = (run + 1) * (1 - skipped)
        grown = torch.where(run >= PATIENT, (2 * scale).clamp(max=_LARGEST), scale)
        self.numbers.copy_(
            torch.stack([torch.where(skipped > 0, (scale / 2).clamp(min=1.0), grown), run * (run < PATIENT)])
        )

    def state(self) -> dict[str, list[float]]:
        """{"loss_scale": numbers} for a checkpoint, where they move."""
        return {_KEY: self.numbers.tolist()} if self.moves else {}

    def load(self, state: dict) -> None:
        """Go on from `state()`; a run that was not float16 before starts anew. ValueError for anything else."""
        if not self.moves or _KEY not in state:
            return
        scale, run = map(float, state[_KEY])
        if not (1 <= scale <= _LARGEST and 0 <= run < PATIENT):
            raise ValueError(
                f"a loss scale lies in 1 .. {_LARGEST:g} and its row below {PATIENT}, got {scale} and {run}"
            )
        self.numbers.copy_(torch.tensor([scale, run]))
