"""What a stream does with the samples of another one: it takes one side of a split, or shuffles them in blocks.

Both go on from their `state_dict()`, a few numbers beside that of the stream within, and then give the samples that would
have followed, all of them. A shuffle buffer does not: its state would have to hold its samples. A block is read anew.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Self

from sde_diffusion.data.order import permutation
from sde_diffusion.data.split import place_of


class Within:
    """A stream made of another one, `inner`, which has `state_dict()`, `load_state_dict(state)` and perhaps `set_epoch(epoch)`."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __deepcopy__(self, memo: Any) -> Self:
        """A copy that is read by itself, as the stream within is; nothing else is copied."""
        found = object.__new__(type(self))
        found.__dict__ |= {**self.__dict__, "inner": copy.deepcopy(self.inner, memo)}
        return found

    def _enter(self, epoch: int) -> None:
        if hasattr(self.inner, "set_epoch"):
            self.inner.set_epoch(epoch)


class OneSide(Within):
    """The items on one side of a split: held out are those whose keyed hash lies below `share`, see `split.place_of`."""

    def __init__(self, inner: Any, name_of: Callable[[Any], bytes], share: float, seed: int, held_out: bool) -> None:
        """`name_of` gives what an item is to the split, such as its key within its shard."""
        super().__init__(inner)
        self.name_of, self.share, self.seed, self.held_out = name_of, share, seed, held_out

    def __iter__(self) -> Iterator[Any]:
        """The items."""
        for item in self.inner:
            if (place_of(self.name_of(item), self.seed) < self.share) is self.held_out:
                yield item

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        self._enter(epoch)

    def state_dict(self) -> Any:
        """That of the stream within."""
        return self.inner.state_dict()

    def load_state_dict(self, state: Any) -> None:
        """Go on from it."""
        self.inner.load_state_dict(state)


class ShuffledBlocks(Within):
    """The items of another stream, each block of `size` of them in an order that is a function of (seed, epoch, block)."""

    def __init__(self, inner: Any, size: int, seed: int) -> None:
        """Raises ValueError for a size below 1."""
        if size < 1:
            raise ValueError(f"shuffle is the number of samples of a block, at least 1, got {size}")
        super().__init__(inner)
        self.size, self.seed, self.epoch = size, seed, 0
        self.block, self.taken, self.before = 0, 0, None

    def __iter__(self) -> Iterator[Any]:
        """The items."""
        inner, begun = iter(self.inner), self.taken
        while True:
            self.before = copy.deepcopy(self.inner.state_dict())
            items = list(islice(inner, self.size))
            if not items:
                return
            order = permutation(self.seed, self.epoch << 32 | self.block, len(items)).tolist()
            for taken in range(begun, len(items)):
                self.taken = taken + 1
                yield items[order[taken]]
            self.block, begun = self.block + 1, 0

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        self.epoch = epoch
        self._enter(epoch)

    def state_dict(self) -> dict[str, Any]:
        """The state of the stream within before the present block, its number, and how many of its items were taken."""
        return {"before": self.before, "block": self.block, "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from one."""
        self.block, self.taken = state["block"], state["taken"]
        if state["before"] is not None:
            self.inner.load_state_dict(state["before"])
