r"""Whether a denoiser's answer is a posterior mean that was clipped afterwards, at states on the data and far from them.

    static      clamp(D, low, high)                                                                              (1)
    dynamic     clamp(D, -s, s)/s with a scale s >= 1 for each sample                                              (2)

References:
    Saharia et al., Photorealistic Text-to-Image Diffusion Models with Deep Language Understanding, 2022,
        https://arxiv.org/abs/2205.11487, section 2.3 (dynamic thresholding)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from sde_diffusion.testing.observed import LEVELS, Observed
from solvers.testing.report import Finding, reported

FAR = 4.0
"""How much further out the states of the second look are."""


def clipped(d: Tensor, exact: Tensor) -> float:
    """Distance of the answers (B, *E) from (1), with the bounds that are seen; infinite where nothing is at a bound."""
    low, high = d.min(), d.max()
    outside = (exact > high) | (exact < low)
    return _gap(d, exact.clamp(low, high)) if outside.any() else math.inf


def rescaled(d: Tensor, exact: Tensor) -> float:
    """Distance of the answers (B, *E) from (2); infinite unless answers within [-1, 1] are left alone."""
    flat, right = d.flatten(1), exact.flatten(1)
    inside = right.abs().amax(1) <= 1
    if right.shape[1] < 2 or not inside.any() or inside.all():
        return math.inf
    least = right.abs().argmin(1, keepdim=True)
    scale = (right.gather(1, least) / flat.gather(1, least)).masked_fill(inside[:, None], 1.0)
    if not bool((scale > 1 - 1e-6).all()):
        return math.inf
    return _gap(flat, torch.minimum(torch.maximum(right, -scale), scale) / scale)


def at_bounds(seen: Observed) -> Iterator[Finding]:
    """Without a law: the share of the numbers of far answers that are exactly the largest or the smallest of all."""
    kernel = seen.kernel(LEVELS[2])
    d = seen.answer(FAR * seen.noisy(kernel)[:64], kernel)
    share = ((d == d.max()) | (d == d.min())).double().mean().item()
    note = "share of the numbers of answers far from the data; near 1 where x_0 is clipped (thresholding), or where data are few points"
    yield reported("answers at their own bounds", share, note, "sde_diffusion/testing/thresholds.py")


def _gap(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()
