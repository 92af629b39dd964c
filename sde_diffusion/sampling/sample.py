"""Sampling: initial states from the prior, the reversal's solve, and its finish, in chunks of the batch.

Sample i of a seed has the same initial state and the same noise, bit for bit, whatever the number of samples, the chunks
or the number of machines, for both are functions of (seed, i) and the solvers treat every row alike; the network's last
bits may depend on how many rows it gets at once, so that whole samples are bit-identical for one given `chunk`, which is
always filled up, and equal up to the network's rounding otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.io.finite import finite_rows
from sde_diffusion.reversal.base import Reversal
from solvers.integrate import Noise, Solver, state_dtype
from solvers.random import mix, normals
from solvers.wiener import PathSpec

CHUNK = 256
"""The most samples that the network gets at once unless another number is given."""

_PRIOR_STREAM = 0x5052494F52  # "PRIOR"


def sample(
    reversal: Reversal,
    solver: Solver | None = None,
    shape: Sequence[int] = (),
    seed: int = 0,
    *,
    first: int = 0,
    noise: Noise | None = None,
    chunk: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    **condition: Any,
) -> Tensor:
    """Samples of the reversed process, shape (N, *E).

    Args:
        reversal: of a denoiser whose conditions are numbers, or have one row for each of the N samples, in order.
        shape: (N, *E).
        seed: keys the initial states and the noise; the global generator is never touched.
        first: the index of the first sample; samples first .. first + N - 1 are returned.
        noise: the kind of path for stochastic equations, `solver.noise` by default: KeyedIncrements on a fixed grid (cheap;
            the noise depends on the grid), WienerTree (the same path at any step count), AreaTree or FreshIncrements.
        chunk: how many samples the network gets at once. By default at most 256, and never more than were asked for. A
            given chunk is always filled up, and sample i stands at row i modulo the chunk: the bits do not depend on N.
        dtype, device: of the samples; float32 on the CPU by default. Samples of 16 bits are made in float32 and rounded once,
            at the end; the network computes in its own dtype (see `Preconditioned`).

    Raises:
        TypeError: a reversal or a solver of another kind, no solver, or a condition, which belongs to the denoiser.
        ValueError: a shape without samples, a chunk that is not positive, or a denoiser that writes into its input.
        FloatingPointError: samples that are NaN or infinite. They are looked at once, at the end of their chunk.
    """
    if condition:
        name = min(condition)
        raise TypeError(
            f"a condition belongs to the denoiser, got {name}=; write Conditioned(denoiser, {name}=...), or model.sample"
        )
    _check(reversal, solver, shape, chunk)
    assert solver is not None
    return torch.cat(list(sample_chunks(reversal, solver, shape, seed, first=first, noise=noise, chunk=chunk, dtype=dtype,
                                        device=device)))  # fmt: skip


def sample_chunks(
    reversal: Reversal,
    solver: Solver,
    shape: Sequence[int],
    seed: int = 0,
    *,
    first: int = 0,
    noise: Noise | None = None,
    chunk: int | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Iterator[Tensor]:
    """The samples of `sample`, one chunk at a time, for progress bars and for sets too large for the memory."""
    _check(reversal, solver, shape, chunk)
    job = _Job(reversal, solver, tuple(shape[1:]), seed, noise or solver.noise, dtype or torch.float32, device or "cpu")
    last = first + shape[0]
    size = chunk or CHUNK
    for begin in range(first - first % size, last, size):
        wanted = torch.arange(max(begin, first), min(begin + size, last))
        indices = wanted if chunk is None else torch.arange(begin, begin + size)
        rows = (indices - first).clamp(0, shape[0] - 1)
        yield finite_rows(job.run(indices, rows)[wanted[0] - indices[0] :][: len(wanted)], "samples", wanted[0])


@dataclass(frozen=True)
class _Job:
    """Everything but the indices of the samples."""

    reversal: Reversal
    solver: Solver
    event_shape: tuple[int, ...]
    seed: int
    noise: Noise
    dtype: torch.dtype
    device: torch.device | str

    @torch.inference_mode(False)
    @torch.no_grad()
    def run(self, indices: Tensor, rows: Tensor) -> Tensor:
        """The samples of these indices (B,), with the conditions in these rows (B,)."""
        reversal = self.reversal.select(rows)
        spec = PathSpec(
            self.seed, indices.to(self.device), self.event_shape, reversal.start, reversal.stop, state_dtype(self.dtype)
        )
        path = self.noise(spec) if reversal.equation.stochastic else None
        x = reversal.solve(self.solver, initial_state(reversal, spec), path)
        return reversal.finish(x, reversal.stop).to(self.dtype)


def initial_state(reversal: Reversal, spec: PathSpec) -> Tensor:
    """x at the horizon, shape (B, *E): the prior's image of normal noise keyed by (seed, sample index)."""
    keys = mix(mix(mix(0, spec.seed), _PRIOR_STREAM), spec.indices)
    return reversal.prior.from_noise(normals(keys, spec.event_shape, spec.dtype))


def _check(reversal: object, solver: object, shape: object, chunk: int | None) -> None:
    """Raises TypeError or ValueError, in one sentence, for arguments that cannot be sampled from."""
    if not isinstance(reversal, Reversal):
        raise TypeError(
            f"sample takes a reversal first, got {type(reversal).__name__}; write "
            "sample(probability_flow(sde, denoiser), FixedGrid(Heun(), 50), (N, *E))"
        )
    if not isinstance(solver, Solver):
        raise TypeError(f"sample takes a solver second, got {type(solver).__name__}; write FixedGrid(Heun(), 50)")
    if not isinstance(shape, Sequence) or not all(isinstance(n, int) for n in shape):
        raise TypeError(f"shape is (N, *E), the number of samples and the shape of each, got {shape!r}; write (16, 2)")
    if len(shape) < 2 or min(shape) < 1 or (chunk is not None and chunk < 1):
        raise ValueError(f"shape is (N, *E) with N >= 1 and chunk >= 1, got shape {tuple(shape)} and chunk {chunk}")
