"""k-diffusion: its deterministic samplers, in their own chart (alpha = 1).

A schedule that ends above zero is integrated to its last level; nothing is denoised afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import Tensor

from benchmarks.peers.base import Peer
from sde_diffusion.testing.adapters import k_diffusion


def peers() -> Iterator[Peer]:
    """Euler, Heun, DPM-Solver++ 2S, 2M and 3M, LMS, all without noise (LMS 2 and 3 are azula's zAB 2 and 3)."""
    from k_diffusion import sampling as k

    yield _peer("euler", k.sample_euler)
    yield _peer("heun", k.sample_heun, calls=2)
    yield _peer("dpmpp_2s", partial(k.sample_dpmpp_2s_ancestral, eta=0.0), calls=2)
    yield _peer("dpmpp_2m", k.sample_dpmpp_2m)
    yield _peer("dpmpp_3m", partial(k.sample_dpmpp_3m_sde, eta=0.0, noise_sampler=_silence))
    yield _peer("lms 4", partial(k.sample_lms, order=4))


def _peer(name: str, sampler: Callable[..., Tensor], calls: int = 1) -> Peer:
    return Peer("k-diffusion", name, partial(k_diffusion.run, sampler, False), calls)


def _silence(sigma: Any, sigma_next: Any) -> float:
    return 0.0
