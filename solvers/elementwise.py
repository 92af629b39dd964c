"""Coefficients meet states: the one place where a time-dependent number is spread over a batch.

A coefficient is a Python float (one time for the whole batch: the fast path, no tensor is made), a tensor of shape ()
or a tensor of shape (B,) (one time for each sample). A state has shape (B, *E). Coefficients are computed in float64
and take the state's dtype and device only here.
"""

from __future__ import annotations

import torch
from torch import Tensor

Coefficient = float | Tensor


def along(c: Coefficient, x: Tensor) -> Coefficient:
    """A coefficient that multiplies x of shape (B, *E): floats pass, (B,) becomes (B, 1, ..., 1) in x's dtype."""
    if not isinstance(c, Tensor):
        return c
    if c.ndim == 0:
        return c.to(x)
    if c.ndim != 1 or (x.shape[0] != c.shape[0] and c.shape[0] != 1):
        raise ValueError(
            f"a coefficient has shape () or (B,) with B = {x.shape[0]}, got {tuple(c.shape)}; give one time per sample"
        )
    return c.to(x).reshape(-1, *(1,) * (x.ndim - 1))


def constant(c: Coefficient, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A coefficient as a tensor. A float is written by the device itself: a copy from the host would wait for it."""
    if isinstance(c, Tensor):
        return c.to(device, dtype)
    return torch.full((), c, dtype=dtype, device=device)


def scale(c: Coefficient, x: Tensor) -> Tensor:
    """c x."""
    return x * along(c, x)


def axpy(x: Tensor, c: Coefficient, d: Tensor) -> Tensor:
    """x + c d, in one fused operation when c is a float."""
    if isinstance(c, Tensor):
        return torch.addcmul(x, d, torch.as_tensor(along(c, d)))
    return torch.add(x, d, alpha=c)


def axpy_(x: Tensor, c: Coefficient, d: Tensor) -> Tensor:
    """x + c d written into x, a tensor that nobody else holds."""
    if isinstance(c, Tensor):
        return x.addcmul_(d, torch.as_tensor(along(c, d)))
    return x.add_(d, alpha=c)


def combine(a: Coefficient, x: Tensor, b: Coefficient, y: Tensor) -> Tensor:
    """a x + b y."""
    return axpy(scale(a, x), b, y)
