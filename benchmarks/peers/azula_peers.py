"""azula: its deterministic samplers, on a schedule that passes through the given noise levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.peers.base import Denoise, Peer


def peers() -> Iterator[Peer]:
    """The Adams families in noise, velocity and data (its Euler and Heun are k-diffusion's)."""
    from azula import sample as a

    orders = {"zAB": (2, 3, 4), "vAB": (2, 3, 4, 5), "zEAB": (2, 3, 4), "xEAB": (2, 3, 4), "REAB": (2,)}
    for family, order in ((f, o) for f, chosen in orders.items() for o in chosen):
        yield _peer(f"{family} {order}", partial(getattr(a, f"{family}Sampler"), order=order))


def _peer(name: str, sampler: Callable[..., Any]) -> Peer:
    return Peer("azula", name, partial(_run, sampler))


def _run(sampler: Callable[..., Any], denoise: Denoise, y: Tensor, kappas: Tensor) -> Tensor:
    steps = len(kappas) - 1
    solve = sampler(_denoiser(denoise, kappas), steps=steps, silent=True, dtype=torch.float64)
    return solve(y)


def _denoiser(denoise: Denoise, kappas: Tensor) -> Any:
    """The denoiser on the schedule alpha = 1, sigma(1 - i/steps) = kappas[i], geometric between the levels."""
    from azula.denoise import Denoiser, DiracPosterior
    from azula.noise import Schedule

    logs = kappas.log().flip(0)

    class Levels(Schedule):
        def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
            return self.alpha(t), self.sigma(t)

        def alpha(self, t: Tensor) -> Tensor:
            return torch.ones_like(t)

        def sigma(self, t: Tensor) -> Tensor:
            place = t.double() * (len(logs) - 1)
            low = place.floor().long().clamp(0, len(logs) - 2)
            return torch.lerp(logs[low], logs[low + 1], place - low).exp()

    class Exact(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = Levels()

        def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> DiracPosterior:
            return DiracPosterior(mean=denoise(x_t, float(self.schedule.sigma(t))))

    return Exact()
