r"""Normal numbers that are a function of a key: no generator, no state, no order of drawing.

A key is a 64-bit integer, a word is a 64-bit integer to derive a key with. One bijection of the 64-bit integers does
all the scrambling, with >>> the logical shift and C an odd constant:

    F(x):   x ^= x >>> 32;  x *= C;  x ^= x >>> 32;  x *= C;  x ^= x >>> 32                                 (1)

It avalanches: the flip of any bit of x flips every bit of F(x) with probability one half. Its first line, the fold
x ^ (x >>> 32), is linear in xor and its own inverse: keys and counters that are kept folded save it for every word. From
F,

    digest(word)   = F(word ^ salt)               structured integers (0, 1, 2, ...) become random ones          (2)
    mix(key, word) = F(G key ^ digest(word))      a sub-key; G is odd, and keeps even mix(digest(a), b) and
                                                  mix(digest(b), a) apart                                        (3)
    word(key, j)   = F(key ^ F(j ^ salt'))        the j-th pair of elements under a key                          (4)
    z(bits)        = sqrt(2) erfinv(2 u - 1),     u = (bits + 1/2) / 2^32                                        (5)

Each word gives two numbers of 32 bits, and (5) carries each of them to the normal quantile of its u: the distribution is
the normal one rounded to 2^32 equally likely atoms, symmetric, from -6.34 to 6.34. (5) is computed in float64, where
2 u - 1 is exact, and rounded once to the requested dtype: float32 and float64 agree to half a unit in the last place.

Streams do not overlap. Were (4) to add a plain counter to the key, as a sequential generator does, two keys d apart
would share their whole streams, shifted by d. In (4), with c_j = F(j ^ salt'), word j under k equals word j' under k'
only if k ^ k' = c_j ^ c_j', which decides nothing about the neighbours of j: equal words come alone (with the swapped
pair j', j), with probability 2^-64 for each pair drawn, and never as a run.

Element j of sample i depends on (key_i, j) alone: not on the batch, the position in it, nor the number of elements. On
one machine it is so bit for bit, for every operation here is one of elements; between machines (a CPU and a GPU) the
last bit of erfinv may differ in float64. The words are read as two halves in the little-endian order of every platform
torch is built for.

References:
    Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011, https://doi.org/10.1145/2063384.2063405
        (a keyed bijection of a counter as a generator)
    Steele, Lea & Flood, Fast Splittable Pseudorandom Number Generators, 2014, https://doi.org/10.1145/2660193.2660195
        (finalisers as generators, keys split by them)
    Wellons, Prospecting for Hash Functions, 2018, https://nullprogram.com/blog/2018/07/31/
        (tests of such finalisers; (1) is the one published by degski)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import overload

import torch
from torch import Tensor

Word = int | Tensor
"""A 64-bit integer, or an int64 tensor of them."""

_MULTIPLIER = 0xD6E8FEB86659FD93 - 2**64  # C of (1), as the signed integer that int64 tensors hold
_SALT = 0x9E3779B97F4A7C15 - 2**64  # keeps the word 0 away from the fixed point F(0) = 0
_COUNTER_SALT = 0xBF58476D1CE4E5B9 - 2**64  # salt' of (4): a counter is no digest of any small word
_ODD = 0x94D049BB133111EB - 2**64  # G of (3)


@overload
def finalise(x: int) -> int: ...
@overload
def finalise(x: Tensor) -> Tensor: ...
def finalise(x: Word) -> Word:
    """F of (1), of a Python integer (taken modulo 2^64, returned signed) or of each element of an int64 tensor."""
    return _finalise_(x.clone(memory_format=torch.contiguous_format)) if isinstance(x, Tensor) else _finalise_int(x)


@overload
def digest(word: int) -> int: ...
@overload
def digest(word: Tensor) -> Tensor: ...
def digest(word: Word) -> Word:
    """Equation (2)."""
    return _finalise_((word ^ _SALT).contiguous()) if isinstance(word, Tensor) else _finalise_int(word ^ _SALT)


@overload
def mix(key: int, word: int) -> int: ...
@overload
def mix(key: Tensor, word: Word) -> Tensor: ...
@overload
def mix(key: Word, word: Tensor) -> Tensor: ...


def mix(key: Word, word: Word) -> Word:
    """Equation (3): the sub-key of `key` named `word`. Integers and tensors broadcast; not commutative."""
    mixed = (key * _ODD if isinstance(key, Tensor) else _signed(key * _ODD)) ^ digest(word)
    return _finalise_(mixed.contiguous()) if isinstance(mixed, Tensor) else _finalise_int(mixed)


def counters(size: int, device: torch.device | str | None = None) -> Tensor:
    """F(j ^ salt') of (4): one for each pair of `size` elements, shape (ceil(size / 2),)."""
    return _finalise_(torch.arange((size + 1) // 2, device=device) ^ _COUNTER_SALT)


def words(keys: Tensor, salts: Word) -> Tensor:
    """Equation (4): F(keys ^ salts), broadcast. `salts` are `counters`, or scrambled in another way."""
    return _finalise_((keys ^ salts).contiguous())


def fold(x: Tensor) -> Tensor:
    """x ^ (x >>> 32): the first line of (1), linear in xor."""
    return _fold_(x.clone(memory_format=torch.contiguous_format))


def folded_words(keys: Tensor, salts: Tensor) -> Tensor:
    """`words` of keys and salts that are given folded, which spares it the first fold."""
    return _finalise_folded_((keys ^ salts).contiguous())


def gaussians(scrambled: Tensor, size: int, scale: float | Tensor = 1.0) -> Tensor:
    """Equation (5) times `scale`, in float64: (..., ceil(size / 2)) words give (..., size) numbers.

    A tensor `scale` is float64 and broadcasts to (..., size).
    """
    u = scrambled.view(torch.int32)[..., :size].to(torch.float64)
    return u.add_(0.5).mul_(2.0**-31).erfinv_().mul_(scale * math.sqrt(2))


def normals(keys: Tensor, event_shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Independent N(0, 1) numbers of shape (B, *E) for keys of shape (B,), on the keys' device.

    Raises:
        TypeError: the keys are not int64, or the dtype is not a floating-point one.
        ValueError: the keys are not of shape (B,).
    """
    check_keys(keys)
    if not dtype.is_floating_point:
        raise TypeError(f"normal numbers have a floating-point dtype, got {dtype}; ask for torch.float32")
    size = math.prod(event_shape)
    z = gaussians(words(keys[:, None], counters(size, keys.device)), size)
    return z.to(dtype).reshape(keys.shape[0], *event_shape)


def check_keys(keys: Tensor) -> None:
    """Refuse what is not an int64 tensor of shape (B,). Raises TypeError or ValueError."""
    if not isinstance(keys, Tensor) or keys.dtype != torch.int64:
        kind = keys.dtype if isinstance(keys, Tensor) else type(keys).__name__
        raise TypeError(f"one int64 number for each sample is wanted, got {kind}; pass torch.arange(B) or the like")
    if keys.ndim != 1:
        raise ValueError(f"one number for each sample, shape (B,), is wanted, got {tuple(keys.shape)}; flatten it")


def _signed(x: int) -> int:
    """x modulo 2^64, from -2^63 to 2^63 - 1."""
    return (x + 2**63) % 2**64 - 2**63


def _finalise_int(x: int) -> int:
    x %= 2**64
    for _ in range(2):
        x = (x ^ (x >> 32)) * _MULTIPLIER % 2**64
    return _signed(x ^ (x >> 32))


def _finalise_(x: Tensor) -> Tensor:
    """F of (1), in place on a contiguous int64 tensor."""
    return _finalise_folded_(_fold_(x))


def _finalise_folded_(x: Tensor) -> Tensor:
    """(1) from its second operation on."""
    for _ in range(2):
        _fold_(x.mul_(_MULTIPLIER))
    return x


def _fold_(x: Tensor) -> Tensor:
    """The high half of every number into its low half, by xor."""
    halves = x.view(-1).view(torch.int32)
    halves[::2].bitwise_xor_(halves[1::2])
    return x
