"""Sampling: prior -> encode -> solve -> decode -> finish, in chunks of one fixed size.

Sample i of a seed is the same whatever the number of samples, the batch, the position in it or the number of machines:
its initial state and its noise are functions of (seed, i), and the network always sees chunks of one size, in which
sample i always stands at position i modulo the size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from sde_diffusion.reversal.base import Reversal
from solvers.integrate import Solver
from solvers.random import mix, normals
from solvers.wiener import PathSpec, WienerPath
from solvers.wiener_tree import WienerTree

_PRIOR_STREAM = 0x5052494F52  # "PRIOR"


def sample(
    reversal: Reversal,
    solver: Solver,
    shape: Sequence[int],
    seed: int = 0,
    *,
    first: int = 0,
    noise: Callable[[PathSpec], WienerPath] = WienerTree,
    chunk: int = 256,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Samples of the reversed process, shape (N, *E).

    Args:
        shape: (N, *E).
        seed: keys the initial states and the noise; the global generator is never touched.
        first: the index of the first sample; samples first .. first + N - 1 are returned.
        noise: the kind of path for stochastic equations: WienerTree (the same path at any step count),
            KeyedIncrements (cheaper; the noise depends on the grid) or FreshIncrements (forgets everything).
        chunk: how many samples the network sees at once; part of what determines the last bits of a sample.

    Raises:
        ValueError: a shape without samples or a chunk that is not positive.
    """
    parts = list(sample_chunks(reversal, solver, shape, seed, first=first, noise=noise, chunk=chunk, dtype=dtype,
                               device=device))  # fmt: skip
    return torch.cat(parts)


def sample_chunks(
    reversal: Reversal,
    solver: Solver,
    shape: Sequence[int],
    seed: int = 0,
    *,
    first: int = 0,
    noise: Callable[[PathSpec], WienerPath] = WienerTree,
    chunk: int = 256,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """The samples of `sample`, one chunk at a time, for progress bars and for sets too large for the memory."""
    if len(shape) < 2 or min(shape) < 1 or chunk < 1:
        raise ValueError(f"shape is (N, *E) with N >= 1 and chunk >= 1, got shape {tuple(shape)} and chunk {chunk}")
    last = first + shape[0]
    for begin in range(first - first % chunk, last, chunk):
        spec = PathSpec(
            seed=seed,
            indices=torch.arange(begin, begin + chunk, device=device),
            event_shape=tuple(shape[1:]),
            start=reversal.start,
            stop=reversal.stop,
            dtype=dtype,
        )
        whole = _solve(reversal, solver, spec, noise)
        yield whole[max(first - begin, 0) : last - begin]


@torch.no_grad()
def _solve(reversal: Reversal, solver: Solver, spec: PathSpec, noise: Callable[[PathSpec], WienerPath]) -> Tensor:
    path = noise(spec) if reversal.equation.stochastic else None
    y = reversal.to_chart(initial_state(reversal, spec), reversal.start)
    y = solver(reversal.equation, y, reversal.start, reversal.stop, path)
    return reversal.finish(reversal.from_chart(y, reversal.stop), reversal.stop)


def initial_state(reversal: Reversal, spec: PathSpec) -> Tensor:
    """x at the horizon, shape (B, *E): the prior's image of normal noise keyed by (seed, sample index)."""
    keys = mix(mix(mix(0, spec.seed), _PRIOR_STREAM), spec.indices)
    return reversal.prior.from_noise(normals(keys, spec.event_shape, spec.dtype))
