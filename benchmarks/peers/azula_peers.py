"""azula: its deterministic samplers, on a schedule that passes through the given noise levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.peers.base import Peer
from sde_diffusion.testing.adapters import azula


def peers() -> Iterator[Peer]:
    """The Adams families in noise, velocity and data (its Euler and Heun are k-diffusion's)."""
    from azula import sample as a

    orders = {"zAB": (2, 3, 4), "vAB": (2, 3, 4, 5), "zEAB": (2, 3, 4), "xEAB": (2, 3, 4), "REAB": (2,)}
    for family, order in ((f, o) for f, chosen in orders.items() for o in chosen):
        yield _peer(f"{family} {order}", partial(getattr(a, f"{family}Sampler"), order=order))


def _peer(name: str, sampler: Callable[..., Any]) -> Peer:
    return Peer("azula", name, partial(azula.run, sampler))
