"""k-diffusion: its samplers, with and without noise, in their own chart (alpha = 1).

A schedule that ends above zero is integrated to its last level; nothing is denoised afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.base import Peer
from sde_diffusion.testing.adapters import k_diffusion
from sde_diffusion.testing.sampler import Denoise


def peers() -> Iterator[Peer]:
    """Euler, Heun, DPM-Solver++ 2S, 2M and 3M, LMS, all without noise (LMS 2 and 3 are azula's zAB 2 and 3)."""
    from k_diffusion import sampling as k

    yield _peer("euler", k.sample_euler)
    yield _peer("heun", k.sample_heun, calls=2)
    yield _peer("dpmpp_2s", partial(k.sample_dpmpp_2s_ancestral, eta=0.0), calls=2)
    yield _peer("dpmpp_2m", k.sample_dpmpp_2m)
    yield _peer("dpmpp_3m", partial(k.sample_dpmpp_3m_sde, eta=0.0, noise_sampler=_silence))
    yield _peer("lms 4", partial(k.sample_lms, order=4))


def noisy_peers(seed: int) -> Iterator[Peer]:
    """Its stochastic samplers, with independent noise of a generator in the place of the Brownian tree."""
    from k_diffusion import sampling as k

    generator = torch.Generator().manual_seed(seed)
    samplers = {"euler_ancestral": 1, "dpmpp_2s_ancestral": 2, "dpmpp_2m_sde": 1, "dpmpp_3m_sde": 1}
    for name, calls in samplers.items():
        yield Peer("k-diffusion", name, partial(_run_noisy, getattr(k, f"sample_{name}"), generator), calls)


def _peer(name: str, sampler: Callable[..., Tensor], calls: int = 1) -> Peer:
    return Peer("k-diffusion", name, partial(k_diffusion.run, sampler, False), calls)


def _run_noisy(sampler: Callable[..., Tensor], generator: torch.Generator, denoise: Denoise, y: Tensor, kappas: Tensor):
    def draw(sigma: Any, sigma_next: Any) -> Tensor:
        return torch.randn(y.shape, generator=generator, dtype=y.dtype)

    return k_diffusion.run(partial(sampler, noise_sampler=draw), False, denoise, y, kappas)


def _silence(sigma: Any, sigma_next: Any) -> float:
    return 0.0
