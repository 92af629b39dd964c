"""Generates samples chunk by chunk into a folder, in one process or several; an interrupted job continues.

    FOLDER/chunks-4f2a90c1/000007.safetensors    samples 7 chunk .. 8 chunk - 1, and what they cost

Process r of R makes the chunks r, r + R, .... A chunk has the same bits in every process, on one kind of machine with one
number of threads: the noise of a sample depends on its number alone, and the network is always called on whole chunks. The
folder's name holds the digest of the weights, so chunks of another model are never mixed in.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.evaluation.generate import Generated, generate_chunk
from sde_diffusion.io.atomic import remove_folder, replace_file, sweep
from sde_diffusion.io.terminal import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from sde_diffusion.denoisers import Denoiser
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.sampling.sampler import Sampler
    from sde_diffusion.training.distributed.process_group import ProcessGroup


@dataclass(frozen=True)
class Job:
    """The first `count` samples of a seed, `chunk` at a time, of one class where `label` is given.

    `condition` (1, K) is one row of numbers for all samples, (count, K) one for each. `guidance` are the words for `guide`,
    what is done to the denoiser.
    """

    sampler: Sampler
    count: int
    seed: int
    chunk: int
    label: int | None = None
    condition: Tensor | None = None
    guidance: str | None = None
    guide: Callable[[Denoiser], Denoiser] | None = None

    @property
    def chunks(self) -> int:
        """The number of chunks; the last one may be smaller."""
        return -(-self.count // self.chunk)

    def size(self, number: int) -> int:
        """The number of samples of a chunk."""
        return min(self.chunk, self.count - number * self.chunk)

    def generate(self, model: DiffusionModel, number: int) -> tuple[Tensor, int]:
        """A chunk, and for how many rows the network was called."""
        size, first = self.size(number), number * self.chunk
        return generate_chunk(
            model, self.sampler, first, size, self.seed, self.chunk, self.label, self.condition, self.guide
        )

    def guided(self, denoiser: Denoiser) -> Denoiser:
        """The denoiser under the job's guidance."""
        return denoiser if self.guide is None else self.guide(denoiser)

    @property
    def record(self) -> dict[str, str]:
        """The job in words that are the same in every process."""
        made = f"{self.sampler} ({self.sampler.parts()})"
        return {
            "sampler": made,
            "job": f"{self.count} samples, seed {self.seed}, chunk {self.chunk}, label {self.label}"
            + self._condition
            + self._guidance,
        }

    @property
    def condition_digest(self) -> str | None:
        """SHA-256 of the condition; None without one."""
        return None if self.condition is None else hashlib.sha256(self.condition.numpy().tobytes()).hexdigest()

    @property
    def _condition(self) -> str:
        return "" if self.condition_digest is None else f"-condition{self.condition_digest[:8]}"

    @property
    def _guidance(self) -> str:
        return "" if self.guidance is None else f"-{_slug(self.guidance, 60)}"

    @property
    def name(self) -> str:
        """The name of the samples' folder: sampler, steps, seed, number of samples, class and digest of the condition."""
        words = str(self.sampler) if self.sampler.steps == 0 else f"{self.sampler.label}-{self.sampler.steps}"
        label = f"-label{self.label}" if self.label is not None else ""
        return f"{_slug(words, 120)}-seed{self.seed}-n{self.count}{label}{self._condition}{self._guidance}"


def _slug(words: str, length: int) -> str:
    """Words as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in words)[:length]


def generate_into(folder: Path, job: Job, model: DiffusionModel, world: ProcessGroup) -> Generated | None:
    """All samples of a job in the main process; None in the others, each of which has made its share.

    Chunks that `folder` already holds are not made again. Raises ValueError when the processes have different models.
    """
    start, known = time.perf_counter(), weights_digest(job.guided(model.denoiser))
    world.assert_same_on_all_ranks({"weights": known, **job.record})
    place = folder / f"chunks-{known[:8]}"
    world.run_on_main(lambda: _open(folder, place))
    _generate_share(place, job, model, world)
    world.assert_same_on_all_ranks({})
    return _gathered(place, job, start) if world.is_main else None


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a module's tensors and their names."""
    import torch

    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return total.hexdigest()


def _open(folder: Path, place: Path) -> None:
    """Make the chunks' folder; remove chunks of other weights and files that a killed job left half written."""
    for stale in folder.glob("chunks-*"):
        if stale != place:
            remove_folder(stale)
    place.mkdir(exist_ok=True)
    sweep(place)


def _generate_share(place: Path, job: Job, model: DiffusionModel, world: ProcessGroup) -> None:
    numbers = range(world.rank, job.chunks, world.size)
    for number in progress_bar(numbers, job.sampler.label, "chunk", world.is_main):
        if _stored(place, job, number) is None:
            _store(place, number, *job.generate(model, number))


def _path(place: Path, number: int) -> Path:
    return place / f"{number:06d}.safetensors"


def _store(place: Path, number: int, x: Tensor, rows: int) -> None:
    from safetensors.torch import save

    replace_file(_path(place, number), save({"x": x.contiguous()}, {"rows": str(rows)}))


def _stored(place: Path, job: Job, number: int) -> tuple[Tensor, int] | None:
    """A stored chunk; None for a missing or a damaged one, which is made again."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(_path(place, number), "pt") as file:
            x, facts = file.get_tensor("x"), file.metadata()
        return (x, int(facts["rows"])) if len(x) == job.size(number) else None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _gathered(place: Path, job: Job, start: float) -> Generated:
    """All chunks in one. ValueError where one is missing: the processes do not share a disk."""
    import torch

    parts = [_stored(place, job, number) for number in range(job.chunks)]
    missing = [number for number, part in enumerate(parts) if part is None]
    if missing:
        raise ValueError(
            f"{len(missing)} of {job.chunks} chunks are not in {place}; give all processes a shared disk, and start again"
        )
    whole = [part for part in parts if part is not None]
    rows = sum(rows for _, rows in whole)
    return Generated(torch.cat([x for x, _ in whole]), rows / (job.chunks * job.chunk), time.perf_counter() - start)


def delete_chunks(folder: Path) -> None:
    """Remove the chunks, once their samples are in one file."""
    for place in folder.glob("chunks-*"):
        remove_folder(place)
