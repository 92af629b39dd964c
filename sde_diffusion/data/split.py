"""Which items of a data set are held out: a keyed hash of the item itself, whatever its position and its neighbours.

An item that is added, removed or moved changes the side of no other. Equal items are on one side, so that no held-out item
has a copy among those that a model is trained on.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable

import torch
from torch import Tensor


def held_out(items: Iterable[bytes], share: float, seed: int = 0) -> Tensor:
    """Which of N items are held out, bool (N,): about `share` of them, at least one and not all.

    Args:
        items: what an item is, as bytes: a file's name below its folder, or the numbers of a row.
        share: in (0, 1).
        seed: of the hash.

    Each item is held out by chance `share`, so that of a few items many more may be: a UserWarning says so.

    Raises:
        ValueError: a share outside (0, 1), or fewer than two different items.
    """
    if not 0 < share < 1:
        raise ValueError(f"held_out is a share in (0, 1), got {share}; 0.1 is usual")
    places = torch.tensor([place_of(item, seed) for item in items], dtype=torch.float64)
    if len(places.unique()) < 2:
        raise ValueError(
            f"{len(places)} items, {len(places.unique())} of them different, cannot be split; give at least 2, one to "
            "train on and one to hold out"
        )
    found = ((places < share) | (places == places.min())) & (places < places.max())
    _say_if_far(int(found.sum()), len(found), share)
    return found


def _say_if_far(count: int, of: int, share: float) -> None:
    if count > 2 * share * of + 1:
        warnings.warn(
            f"{count} of {of} items are held out, and a share of {share:g} was asked for: with so few it is a matter of chance; "
            "take another seed of the split",
            stacklevel=3,
        )


def place_of(item: bytes, seed: int) -> float:
    """Where an item lies, and is held out below a share: a number in [0, 1), uniform over items: the first 53 bits of a keyed hash."""
    key = (seed % 2**64).to_bytes(8, "big")
    return (int.from_bytes(hashlib.blake2b(item, digest_size=8, key=key).digest(), "big") >> 11) / 2**53
