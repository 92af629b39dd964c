"""Your own samples in tar shards, the layout of webdataset, read one after another: pictures or arrays, classes, conditions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.array_file import as_samples
from sde_diffusion.data.captions import HashedNGrams
from sde_diffusion.data.image_shards import LABEL, LONGEST
from sde_diffusion.data.order import permutation
from sde_diffusion.data.picture_folder import counted, key
from sde_diffusion.data.picture_format import PictureFormat, Wanted
from sde_diffusion.data.pictures import SUFFIXES
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.data.shard_members import ARRAYS, array_of, json_of, text_of
from sde_diffusion.data.shards import Member, Sample, samples_of, shards_at
from sde_diffusion.data.stream_source import EXAMPLES, StreamSource

BLOCK = 1024
"""Samples of a block within which they are shuffled."""


class ShardSamples:
    """The samples of tar shards as (shard, key, members), shard by shard in an order that is a function of (seed, epoch).

    Only headers are read. The state is the number of shards done and of samples in the present one.
    """

    def __init__(self, shards: Sequence[Path], seed: int) -> None:
        self.shards, self.seed, self.epoch = tuple(shards), seed, 0
        self.shard, self.sample = 0, 0

    def __iter__(self) -> Iterator[tuple[Path, Sample]]:
        """The samples."""
        begin, order = self.sample, permutation(self.seed, self.epoch, len(self.shards)).tolist()
        for at in range(self.shard, len(order)):
            shard = self.shards[order[at]]
            for number, sample in enumerate(samples_of(shard)):
                if number >= begin:
                    self.shard, self.sample = at, number + 1
                    yield shard, sample
            begin = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch."""
        self.epoch = epoch

    def state_dict(self) -> dict[str, int]:
        """How many shards are done, and samples of the present one."""
        return {"shard": self.shard, "sample": self.sample}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from a state."""
        self.shard, self.sample = state["shard"], state["sample"]


class ShardStream(StreamSource):
    """The samples of tar shards, read one after another: pictures (C, H, W) in [-1, 1], or arrays (*E).

    Shards come in another order in each epoch, and their samples are shuffled in blocks; all of it is a function of (seed,
    position), so that a resumed run is exact. A class is the member `.cls`, a number or a text. Members that could run code
    when they are read, such as `.pth` and `.pkl`, are never opened. Pictures alone can also be read at random places, see
    `image_shards`, in an order that mixes all of them.
    """

    def __init__(
        self,
        path: str,
        sample: str | None = None,
        held_out: float = 0.1,
        seed: int = 0,
        shuffle: int = BLOCK,
        examples: int = EXAMPLES,
        labels: bool | None = None,
        condition: tuple[str, ...] = (),
        caption_size: int = 64,
        size: int | list[int] | None = None,
        fit: str = "crop",
        channels: int | None = None,
        background: str | list[int] = "white",
        range: list[float] | None = None,
        max_pixels: int | None = None,
    ) -> None:
        """Which shards, and how their samples are read. Nothing is read yet.

        Args:
            path: a .tar file, a folder of them, or a pattern such as train-*.tar or train-{000..099}.tar; not compressed.
            sample: what comes after the key in the name of the sample, such as latent.npy, or npz:x for the array x of a
                .npz; left out: the only picture, or else the only array.
            held_out: the share in (0, 1) of the samples that is kept from training, by the names of shard and sample alone.
            seed: of that choice and of the order.
            shuffle: the number of samples of a block within which they are shuffled; 1 keeps the order of the shards.
            examples: of each part, of which moments and evaluation are.
            labels: whether `.cls` is the class. Left out: if every sample has one.
            condition: members with what samples are conditioned on: `pose.npy` for an array of numbers, npz:x for one of
                several, json:size.width for a number, a list or a text in a JSON object, txt for a caption.
            caption_size: how many numbers a caption or a text becomes, see `captions.HashedNGrams`.
            size, fit, channels, background, range, max_pixels: of pictures, as for `image_folder`.

        Raises ValueError for wrong arguments; when samples are first asked for, for damaged shards and samples.
        """
        self.path, self.sample, self.held_out, self.seed, self.labels = path, sample, held_out, seed, labels
        self.shuffle, self.examples, self.encoder = shuffle, examples, HashedNGrams(caption_size)
        self.condition = (condition,) if isinstance(condition, str) else tuple(condition)
        self.wanted = Wanted(size, fit, channels, background, range, max_pixels)
        self.arguments = {
            "path": path, "sample": sample, "held_out": held_out, "seed": seed, "shuffle": shuffle, "examples": examples,
            "labels": labels, "condition": self.condition, "caption_size": caption_size, "size": size, "fit": fit, "channels": channels, "background": background, "range": range,
            "max_pixels": max_pixels,
        }  # fmt: skip

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"

    @property
    def place(self) -> str:
        """The shards as they were named."""
        return self.path

    @property
    def levels(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How many values a pixel takes; None for other numbers."""
        return self.format.levels if self._pictures else self._array_levels

    @property
    def condition_names(self) -> tuple[str, ...] | None:
        """A name for each number: NAME.0, NAME.1 and so on for a condition of several."""
        return tuple(one for names in self._columns.values() for one in names) or None

    @cached_property
    def condition_encoders(self) -> dict[str, HashedNGrams]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The captions and texts by their names, as the first example has them."""
        first = self.census.examples["train"][0]
        return {_named(one): self.encoder for one in self.condition if isinstance(self._value(first, one), str)}

    def items(self) -> ShardSamples:
        """All samples, not decoded."""
        return ShardSamples(self._shards[1], self.seed)

    def name_of(self, item: tuple[Path, Sample]) -> bytes:
        """The shard's name below the folder of the shards, and the key."""
        shard, (name, _) = item
        return key(f"{shard.relative_to(self._shards[0]).as_posix()}/{name}")

    def class_of(self, item: tuple[Path, Sample]) -> str | None:
        """What the `.cls` says."""
        member = item[1][1].get(LABEL)
        return None if member is None or self.labels is False else text_of(member, LONGEST)

    def about(self, item: tuple[Path, Sample]) -> list[tuple[str, int]]:
        """The members with their sizes."""
        return [(kind, one.size) for kind, one in item[1][1].items()]

    def decoded(self, item: tuple[Path, Sample]) -> tuple[Tensor, Tensor | None]:
        """The picture or the array."""
        member, name = self._member(item)
        given = torch.cat([self._numbers_of(item, one) for one in self.condition]) if self.condition else None
        if self._pictures:
            return from_levels(self.format.read(member), self.format.levels or 2), given
        return _as_event(array_of(member, name), member), given

    def summary(self) -> dict[str, Any]:
        """What the shards hold and what is done with it, as plain data; `passed_over` counts members of the examples."""
        others: Counter[str] = Counter()
        read = {LABEL, *(one.partition(":")[0].lower() for one in self.condition)}
        for item in self.census.examples["train"]:
            member = self._member(item)[0]
            others.update(f".{kind}" for kind, one in item[1][1].items() if one != member and kind not in read)
        return super().summary() | {
            "read": {"shards": len(self._shards[1])},
            "passed_over": dict(sorted(others.items())),
        }

    def _value(self, item: tuple[Path, Sample], field: str) -> Any:
        """What a sample says in a member of its condition: a text, a number or an array. Raises ValueError."""
        shard, (name, members) = item
        kind, _, within = field.partition(":")
        member = members.get(kind.lower())
        if member is None:
            raise ValueError(
                f"the sample {name!r} of {str(shard)!r} has no .{kind}, a condition; write one, or name another member"
            )
        if _suffix(kind.lower()) in ARRAYS:
            return array_of(member, within or None)
        return json_of(member, within) if _suffix(kind.lower()) == ".json" else text_of(member)

    def _numbers_of(self, item: tuple[Path, Sample], field: str) -> Tensor:
        """The numbers of a condition, float64 (K,)."""
        value, count = self._value(item, field), len(self._columns[field])
        try:
            found = self.encoder([value])[0] if isinstance(value, str) else _real(value)
            if len(found) != count or isinstance(value, str) != (_named(field) in self.condition_encoders):
                raise ValueError(f"it has {len(found)} numbers, and the first example {count}")
            return found
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self._words(item)}, condition {field!r}: {error}; correct that sample") from error

    @cached_property
    def _columns(self) -> dict[str, tuple[str, ...]]:
        """The names of the numbers of each condition, by the first example."""
        first, found = self.census.examples["train"][0], {}
        for field in self.condition:
            value, name = self._value(first, field), _named(field)
            several = self.encoder.size if isinstance(value, str) else np.ndim(value) and np.size(value)
            found[field] = tuple(f"{name}.{number}" for number in range(several)) if several else (name,)
        return found

    @cached_property
    def format(self) -> PictureFormat:
        """The shape, levels and background of all pictures, by the headers of the examples."""
        items = [item for part in self.census.examples.values() for item in part]
        found = {str(one): self.wanted.header(one) for one in (self._member(item)[0] for item in items)}
        return self.wanted.of(found, self.path)

    @cached_property
    def _shards(self) -> tuple[Path, list[Path]]:
        return shards_at(self.path)

    @cached_property
    def _pictures(self) -> bool:
        """Whether samples are pictures, as the first example is."""
        return Path(self._member(self.census.examples["train"][0])[0].name).suffix.lower() in SUFFIXES

    @cached_property
    def _array_levels(self) -> int | None:
        member, name = self._member(self.census.examples["train"][0])
        return 256 if as_samples(array_of(member, name)[None], str(member))[0].dtype == np.uint8 else None

    def _member(self, item: tuple[Path, Sample]) -> tuple[Member, str | None]:
        """The member that is the sample, and the name of the array within it."""
        shard, (name, members) = item
        wanted, _, within = (self.sample or "").partition(":")
        given = {one.partition(":")[0].lower() for one in self.condition}
        others = {kind: one for kind, one in members.items() if kind not in given}
        found = [kind for kind in members if kind == wanted.lower()] if wanted else _usual(others)
        if len(found) != 1:
            held = counted(dict.fromkeys((f".{kind}" for kind in members), 1))
            raise ValueError(
                f"the sample {name!r} of {str(shard)!r} holds {held}, of which {len(found)} are {self.sample or 'pictures or arrays'}; "
                "name one of each sample with sample, --data.sample png"
            )
        return members[found[0]], within or None


def _named(field: str) -> str:
    """What a condition is called: the place in a JSON object or the array in a .npz, or the member without its suffix."""
    kind, _, within = field.partition(":")
    return within or (kind[: -len(_suffix(kind))] if _suffix(kind) in ARRAYS else kind) or kind


def _real(value: Any) -> Tensor:
    """Real numbers, float64 (K,). Raises ValueError or TypeError for anything else."""
    found = np.asarray(value)
    if found.dtype.kind not in "iufb":
        raise ValueError(f"{str(value)[:40]!r} is no real number")
    return torch.from_numpy(found.astype(np.float64).reshape(-1))


def _usual(members: dict[str, Member]) -> list[str]:
    """The kinds of the pictures, or where there are none of the arrays."""
    pictures = [kind for kind in members if _suffix(kind) in SUFFIXES]
    return pictures or [kind for kind in members if _suffix(kind) in ARRAYS]


def _suffix(kind: str) -> str:
    return "." + kind.rpartition(".")[2]


def _as_event(values: np.ndarray, member: Member) -> Tensor:
    """One sample (*E) as float32, pictures of uint8 scaled to [-1, 1]."""
    found = np.array(as_samples(values[None], str(member))[0][0])
    x = torch.from_numpy(found if found.dtype == np.uint8 else found.astype(np.float32))
    return from_levels(x) if x.dtype == torch.uint8 else x
