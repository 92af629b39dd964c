r"""Number formats of a step.

The stated policy on TF32: `float32` means float32, in matrix products and in convolutions. `tf32` allows both to round their
inputs to 10 bits of mantissa. `bfloat16` leaves what stays in float32 to TF32. Weights, moments and averages are float32 in
all of them, for autocast rounds copies.

float16 is not offered. It has no numbers below 6e-8, so that its gradients need a loss scale; bfloat16 has the range of float32.

References:
    Micikevicius et al., Mixed Precision Training, 2018, https://arxiv.org/abs/1710.03740
    Kalamkar et al., A Study of BFLOAT16 for Deep Learning Training, 2019, https://arxiv.org/abs/1905.12322
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch


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


def autocast(precision: str, device: torch.device) -> Callable[[], torch.autocast]:
    """Makes the context in which a loss is computed."""
    return partial(torch.autocast, device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")
