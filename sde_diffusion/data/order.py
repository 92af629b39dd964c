"""The order of the data as a pure function of (seed, step): nothing to save, nothing to restore.

Lay the epochs end to end, each a permutation of the n samples; step k takes the positions [k B, (k + 1) B) of that
endless row, across the border of two epochs if need be. A run stopped at any step goes on exactly, and the global batch
does not depend on how many processes share it: each takes its own consecutive piece.

The permutation sorts the samples by words of the keyed generator of the noise (`solvers.random`), under the key (seed, epoch).
Its bits are the same in every version of every library, which torch.randperm does not promise.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from solvers.random import counters, digest, mix, words


def indices(seed: int, step: int, batch_size: int, n: int, rank: int = 0, world: int = 1) -> Tensor:
    """The samples, int64 (batch_size // world,), that process `rank` of `world` sees at `step`.

    `batch_size` is the global one; the ranks' pieces, in order, are the global batch. Each epoch holds every sample
    exactly once. Raises ValueError when the batch cannot be shared evenly or a number is out of range.
    """
    _check(seed, step, batch_size, n, rank, world)
    share = batch_size // world
    start = step * batch_size + rank * share
    stop = start + share
    epochs = range(start // n, (stop - 1) // n + 1)
    pieces = [_permutation(seed, e, n)[max(start - e * n, 0) : min(stop - e * n, n)] for e in epochs]
    return torch.cat(pieces)


def permutation(seed: int, epoch: int, n: int) -> Tensor:
    """A permutation of 0 .. n - 1, int64 (n,), a pure function of its arguments."""
    return _permutation(seed, epoch, n).clone()


def random_words(seed: int, stream: int, n: int) -> Tensor:
    """The first n words of a stream, int64 (n,), no two of them equal; a longer answer begins with the shorter one."""
    if seed < 0 or seed >= 2**64:
        raise ValueError(f"a seed lies in [0, 2^64), got {seed}")
    return words(torch.tensor(mix(digest(seed), stream)), counters(2 * n))


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, n: int) -> Tensor:
    """Remembered, since neighbouring steps share an epoch; a pure function all the same."""
    return random_words(seed, epoch, n).argsort()


def _check(seed: int, step: int, batch_size: int, n: int, rank: int, world: int) -> None:
    if min(n, batch_size, world) < 1 or min(step, rank) < 0:
        raise ValueError(
            "n, batch_size and world are at least 1, step and rank at least 0, got "
            f"n = {n}, batch_size = {batch_size}, world = {world}, step = {step}, rank = {rank}"
        )
    if rank >= world:
        raise ValueError(f"ranks run from 0 to world - 1 = {world - 1}, got rank {rank}")
    if batch_size % world:
        raise ValueError(f"a batch of {batch_size} cannot be shared evenly by {world} processes; take a multiple")
