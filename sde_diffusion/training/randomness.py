r"""The randomness of a step as a pure function of (seed, step): resuming is exact with no generator's state on disk.

The noise and the times of step k come from one generator that is seeded anew from (seed, k) on the data's device, and
so do the global generators, from which torch's dropout draws; those are handed back as they were found. The order of
the data is a pure function of the same two numbers (`data.order`).

torch's generator on the CPU, a Mersenne twister, heeds only the lower 32 bits of a seed. `word` makes these a
permutation of the 32-bit steps, so that no two steps of a run share their noise; the upper bits serve the counter-based
generators of accelerators.

References:
    Appleby, MurmurHash3, 2011, https://github.com/aappleby/smhasher, fmix32
    Steele, Lea & Flood, Fast Splittable Pseudorandom Number Generators, 2014, https://doi.org/10.1145/2660193.2660195
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

_LOW, _ALL = 2**32 - 1, 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_APART = 0x5DEECE66D  # what sets the noise apart from dropout within a step


def step_seed(seed: int, step: int) -> int:
    """64 bits for a step of a run; the lower 32 differ for any two steps below 2^32 of one seed.

    Where a batch has parts, each counts as a step of its own.
    """
    key = _mix64(seed + _GOLDEN)
    low = _mix32(_mix32(step & _LOW ^ key & _LOW) ^ key >> 32)
    return _mix64(key ^ _mix64(step + _GOLDEN)) & ~_LOW | low


@contextmanager
def seeded_generators(device: torch.device) -> Iterator[Callable[[int], torch.Generator]]:
    """Lends a function that seeds the global generators and one of its own, which it returns, from a 64-bit word.

    The global generators of the CPU and of `device` are given back in the state in which they were found.
    """
    lent = [torch.default_generator, *_default_of(device)]
    found = [generator.get_state() for generator in lent]
    own = torch.Generator(device)

    def seed(bits: int) -> torch.Generator:
        for generator in lent:
            generator.manual_seed(bits)
        return own.manual_seed(bits ^ _APART)

    try:
        yield seed
    finally:
        for generator, state in zip(lent, found, strict=True):
            generator.set_state(state)


def _default_of(device: torch.device) -> list[torch.Generator]:
    if device.type != "cuda":
        return []
    torch.cuda.init()
    index = torch.cuda.current_device() if device.index is None else device.index
    return [torch.cuda.default_generators[index]]


def _mix32(h: int) -> int:
    h = (h ^ h >> 16) * 0x85EBCA6B & _LOW
    h = (h ^ h >> 13) * 0xC2B2AE35 & _LOW
    return h ^ h >> 16


def _mix64(h: int) -> int:
    h &= _ALL
    h = (h ^ h >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    h = (h ^ h >> 27) * 0x94D049BB133111EB & _ALL
    return h ^ h >> 31
