"""azula: its samplers, with and without noise, on a schedule that passes through the given noise levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.base import Peer
from sde_diffusion.testing.adapters import azula
from sde_diffusion.testing.sampler import Denoise


def peers() -> Iterator[Peer]:
    """The Adams families in noise, velocity and data (its Euler and Heun are k-diffusion's)."""
    from azula import sample as a

    orders = {"zAB": (2, 3, 4), "vAB": (2, 3, 4, 5), "zEAB": (2, 3, 4), "xEAB": (2, 3, 4), "REAB": (2,)}
    for family, order in ((f, o) for f, chosen in orders.items() for o in chosen):
        yield _peer(f"{family} {order}", partial(getattr(a, f"{family}Sampler"), order=order))


def noisy_peers(seed: int) -> Iterator[Peer]:
    """DDPM, its Ito sampler and its predictor-corrector, as they come; they draw from the global generator."""
    from azula import sample as a

    samplers = {"DDPM": (a.DDPMSampler, 1), "Ito": (a.ItoSampler, 1), "PC": (a.PCSampler, 2)}
    for name, (sampler, calls) in samplers.items():
        yield Peer("azula", name, partial(_run_noisy, sampler, seed), calls)


def _run_noisy(sampler: Callable[..., Any], seed: int, denoise: Denoise, y: Tensor, kappas: Tensor) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return azula.run(sampler, denoise, y, kappas)


def _peer(name: str, sampler: Callable[..., Any]) -> Peer:
    return Peer("azula", name, partial(azula.run, sampler))
