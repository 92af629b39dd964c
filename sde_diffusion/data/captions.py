r"""Texts as vectors without a trained model: hashed n-grams of letters, of length one.

A text is the counts c_g of its words and of the runs of 3 to 5 letters within them, their borders marked. Each n-gram g has a
place h(g) and a sign s(g) = +-1 by a keyed hash, and

    v_i = sum_{g: h(g) = i} s(g) c_g,    E <v(a), v(b)> = sum_g c_g(a) c_g(b)                                      (1)

over keys: texts that share words and parts of words are near one another, others nearly orthogonal. v is divided by its norm.

References:
    Weinberger et al., Feature Hashing for Large Scale Multitask Learning, 2009, https://arxiv.org/abs/0902.2206, equation (1)
    Bojanowski et al., Enriching Word Vectors with Subword Information, 2017, https://arxiv.org/abs/1607.04606, section 3.2
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

SHORTEST, LONGEST = 3, 5
"""Letters of an n-gram."""

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class HashedNGrams:
    """Texts -> vectors (N, size) of length one, float64; zeros for a text without a word. `seed` is the key of the hash."""

    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for a size that is no number from 2 to 4096."""
        if not isinstance(self.size, int) or not 2 <= self.size <= 4096 or not 0 <= self.seed < 2**64:
            raise ValueError(
                f"hashed n-grams have 2 to 4096 numbers and a seed from 0, got {self.size} and {self.seed}"
            )

    def columns(self, name: str) -> tuple[str, ...]:
        """What the numbers of a condition of this name are called."""
        return tuple(f"{name}.{number}" for number in range(self.size))

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """The vectors."""
        rows = torch.stack([self.counts(text) for text in texts])
        return torch.nn.functional.normalize(rows, dim=1)

    def counts(self, text: str) -> Tensor:
        """Equation (1), float64 (size,)."""
        found = [0.0] * self.size
        for gram, count in n_grams(text).items():
            place, sign = self._hash(gram)
            found[place] += sign * count
        return torch.tensor(found, dtype=torch.float64)

    def as_dict(self) -> dict[str, int]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def of_dict(cls, stored: Any) -> Self:
        """The inverse of `as_dict`. Raises ValueError for anything else."""
        if (
            not isinstance(stored, dict)
            or set(stored) != {"size", "seed"}
            or not all(type(n) is int for n in stored.values())
        ):
            raise ValueError(f"hashed n-grams have a size and a seed, got {str(stored)[:60]}")
        return cls(**stored)

    def _hash(self, gram: str) -> tuple[int, int]:
        key = self.seed.to_bytes(8, "big")
        bits = int.from_bytes(hashlib.blake2b(gram.encode("utf-8", "replace"), digest_size=8, key=key).digest(), "big")
        return (bits >> 1) % self.size, 1 if bits & 1 else -1


def n_grams(text: str) -> Counter[str]:
    """The words of a text, in small letters, and their parts: "<it>" has <it, it> and <it> itself."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        marked = f"<{word}>"
        found[marked] += 1
        for length in range(SHORTEST, min(LONGEST, len(marked) - 1) + 1):
            found.update(marked[at : at + length] for at in range(len(marked) - length + 1))
    return found
