"""Streams as data sources: the training part is read one after another, and some examples of both parts at random.

A stream has no row numbers. What is asked of a source by row, such as the mean and the deviation, what callbacks look at and
what samples are compared with, is answered by *examples*: of each part those whose keyed hash is smallest, which is a random
choice that does not depend on the order of the samples. They are found in one reading of the stream in which nothing is
decoded. Which part a sample belongs to is decided by a keyed hash of its name (see `split`), so that a held-out sample is
never trained on, in any order, epoch or process.
"""

from __future__ import annotations

import hashlib
import heapq
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.base import DataSource, Rows, check_indices, check_split
from sde_diffusion.data.labels import Labels, labels_of_file
from sde_diffusion.data.own_pictures import check_share
from sde_diffusion.data.split import place_of
from sde_diffusion.data.stream import Row, StreamTable
from sde_diffusion.data.stream_order import OneSide, ShuffledBlocks
from sde_diffusion.data.tables import SourceTable

EXAMPLES = 4096
"""Examples of each part that are looked at, unless another number is asked for."""


@dataclass(frozen=True)
class Census:
    """What one reading of a stream finds.

    Attributes:
        counts: how many samples each part holds.
        examples: items of each part, those of the smallest hashes first.
        classes: how many samples say what of their class; None is what those without one say.
        identity: SHA-256 of the names of all samples, their classes, and what else is known of them before they are decoded.
    """

    counts: dict[str, int]
    examples: dict[str, list[Any]]
    classes: Counter[str | None]
    identity: str

    @classmethod
    def of(cls, source: StreamSource) -> Census:
        """That of the items of a source, read once."""
        nearest: dict[str, list[tuple[float, int, Any]]] = {"train": [], "held_out": []}
        counts, classes, identity = Counter[str](), Counter[str | None](), hashlib.sha256()
        for number, item in enumerate(source.items()):
            name = source.name_of(item)
            place = place_of(name, source.seed)
            split = "held_out" if place < source.held_out else "train"
            counts[split] += 1
            _keep(nearest[split], (-place, -number, item), source.examples)
            said = source.class_of(item)
            classes[said] += 1
            identity.update(repr((name, said, source.about(item))).encode())
        kept = {split: [item for *_, item in sorted(found, reverse=True)] for split, found in nearest.items()}
        return cls({split: counts[split] for split in nearest}, kept, classes, identity.hexdigest())


class StreamSource(DataSource):
    """Samples one after another, a share `held_out` of them kept from training.

    Attributes: `held_out`, `seed` of the hash and of the order, `examples` of each part at most, `shuffle`, the number of
    samples of a block within which they are shuffled, and `labels`: whether samples have classes, None for "if every one does".
    """

    held_out: float
    seed: int
    shuffle: int
    examples: int
    labels: bool | None

    @property
    def mixed(self) -> bool:
        """Whether the items come in an order that mixes all of them, so that no blocks are needed."""
        return False

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the data are, for messages."""

    @abstractmethod
    def items(self) -> Any:
        """All items, not decoded: an iterable with `set_epoch`, `state_dict` and `load_state_dict`."""

    @abstractmethod
    def name_of(self, item: Any) -> bytes:
        """What an item is to the split; no other item of the stream has the same."""

    @abstractmethod
    def class_of(self, item: Any) -> str | None:
        """What an item says of its class, None where it says nothing."""

    def known_classes(self) -> tuple[str, ...] | None:
        """The names of the classes in the order of their numbers, where the data say so; None where samples alone do."""
        return None

    @abstractmethod
    def about(self, item: Any) -> Any:
        """What else than its name is known of an item without decoding it, such as its size, as plain data."""

    @abstractmethod
    def decoded(self, item: Any) -> tuple[Tensor, Tensor | None]:
        """The sample (*E), and the numbers of its condition, float64 (K,) or None. Raises ValueError that names the item."""

    def stream(self, labels: bool = False) -> StreamTable:
        """The training part. Raises ValueError for labels of a stream without."""
        if labels and self.classes is None:
            raise ValueError(f"{type(self).__name__} has no labels; leave out labels=True")
        part = OneSide(self.items(), self.name_of, self.held_out, self.seed, held_out=False)
        ordered = part if self.shuffle == 1 or self.mixed else ShuffledBlocks(part, self.shuffle, self.seed)
        row, examples = partial(self._row, labels=labels), SourceTable(self, labels)
        identity = hashlib.sha256(f"{self.census.identity} {self.shuffle} {self.seed} {self.held_out}".encode())
        return StreamTable(ordered, row, self.class_names, None, examples, identity.hexdigest())

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event, that of the first example."""
        return tuple(self._first.shape)

    @property
    def classes(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of labels, None without."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The classes, by label; None without labels."""
        return None if self._numbers is None else tuple(self._numbers[0])

    def size(self, split: str = "train") -> int:
        """How many examples there are of a part; `census` says how many samples."""
        return len(self.census.examples[check_split(split)])

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Examples (B, *E) and their labels (B,) or None at `indices`."""
        items = self._chosen(indices, split)
        x = [self._checked(item)[0] for item in items]
        labels = None if self._numbers is None else torch.tensor([self._label(item) for item in items])
        return torch.stack(x) if x else torch.empty(0, *self.event_shape), labels

    def condition_rows(self, indices: Tensor, split: str = "train") -> Tensor | None:
        """The numbers of the examples' conditions, float64 (B, K), or None."""
        if self.condition_names is None:
            return None
        rows = [self._checked(item)[1] for item in self._chosen(indices, split)]
        found = [row for row in rows if row is not None]
        return torch.stack(found) if found else torch.empty(0, len(self.condition_names), dtype=torch.float64)

    def summary(self) -> dict[str, Any]:
        """The samples of each part, the classes with their counts, and what is not done for a stream, in sentences."""
        found, without = self.census, self.census.classes.get(None, 0)
        total = sum(found.counts.values())
        held = f"{self.size():,} training and {self.size('held_out'):,} held-out examples, picked by a keyed hash"
        order = "all samples mixed" if self.mixed else f"read in its order, shuffled in blocks of {self.shuffle:,}"
        notes = [
            f"a stream: {order}; ranges, moments and evaluation are of {held}",
            "the run knows its data by what is known of all samples without decoding them, and by the numbers of the first 64",
        ]
        notes += [f"{without} of {total} samples have no class: there are no labels"] * (0 < without < total)
        counts = None if self._numbers is None else self._counts()
        return {"samples": found.counts, "classes": counts, "notes": notes}

    @cached_property
    def census(self) -> Census:
        """What one reading of the stream finds. Raises ValueError where a part is empty."""
        check_share(self.held_out)
        if self.shuffle < 1 or self.examples < 2 or not 0 <= self.seed < 2**64:
            raise ValueError(
                f"shuffle is at least 1, examples at least 2 and seed from 0, got {self.shuffle}, {self.examples} and {self.seed}"
            )
        found = Census.of(self)
        if not all(found.counts.values()):
            raise ValueError(
                f"{self.place!r} holds {found.counts['train']} samples to train on and {found.counts['held_out']} held out; "
                "give more samples, another share held_out, or another seed of the split"
            )
        return found

    @cached_property
    def _numbers(self) -> tuple[list[str], dict[str, int]] | None:
        """The names of the classes, and the number of each that an item says; None without labels."""
        said = self.census.classes
        if self.labels and None in said:
            raise ValueError(f"{said[None]} samples of {self.place!r} have no class; leave out labels=True")
        if self.labels is False or None in said:
            return None
        if (known := self.known_classes()) is not None:
            return list(known), {name: number for number, name in enumerate(known)}
        texts = [text for text in said if text is not None]
        numbers, names = numbered(texts, self.place)
        return list(names), dict(zip(texts, numbers.tolist(), strict=True))

    def _counts(self) -> dict[str, int]:
        names, numbers = self._numbers or ([], {})
        found = dict.fromkeys(names, 0)
        for text, number in numbers.items():
            found[names[number]] += self.census.classes[text]
        return found

    def _label(self, item: Any) -> int:
        number = {} if self._numbers is None else self._numbers[1]
        said = self.class_of(item)
        if said not in number:
            raise ValueError(
                f"{self._words(item)} has the class {said!r}, which was in no sample before; begin a new run"
            )
        return number[said]

    def _row(self, item: Any, labels: bool) -> Row:
        x, condition = self._checked(item)
        given = {} if condition is None else {"condition": condition}
        return x, given | ({"label": self._label(item)} if labels else {})

    def _checked(self, item: Any) -> tuple[Tensor, Tensor | None]:
        """The sample and its condition. Raises ValueError for numbers that are not finite, and for another shape."""
        x, condition = self.decoded(item)
        if tuple(x.shape) != self.event_shape:
            raise ValueError(
                f"{self._words(item)} has shape {tuple(x.shape)}, and the first example {self.event_shape}; give samples of one shape"
            )
        for what, numbers in (("", x), ("condition of ", condition)):
            if numbers is not None and not bool(numbers.isfinite().all()):
                raise ValueError(f"the {what}{self._words(item)} holds NaN or infinite numbers; remove that sample")
        return x, condition

    def _words(self, item: Any) -> str:
        return f"sample {self.name_of(item).decode('utf-8', 'replace')!r} of {self.place!r}"

    def _chosen(self, indices: Tensor, split: str) -> list[Any]:
        items = self.census.examples[check_split(split)]
        return [items[row] for row in check_indices(indices, len(items)).tolist()]

    @cached_property
    def _first(self) -> Tensor:
        return self.decoded(self.census.examples["train"][0])[0]


def numbered(texts: Iterable[str], place: str) -> Labels:
    """The classes that texts name: whole numbers are numbers of classes where they can be. Raises ValueError as `labels_of_file`."""
    found = list(texts)
    whole = all(text.isascii() and text.isdigit() for text in found)
    try:
        return labels_of_file(np.array([int(text) for text in found] if whole else found))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"the classes in {place!r}: {error}") from error


def _keep(found: list[tuple[float, int, Any]], one: tuple[float, int, Any], most: int) -> None:
    """Add to a heap of at most so many, the smallest of which leaves first."""
    (heapq.heappush if len(found) < most else heapq.heappushpop)(found, one)
