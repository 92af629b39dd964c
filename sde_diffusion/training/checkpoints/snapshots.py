"""Snapshots: `snapshots/step-000500/` with the power-function averages after that step, kept until somebody removes them.

    sigma-0.05.safetensors    the whole state of a model whose parameters are the average of that length
    sigma-0.1.safetensors     the same of another length
    snapshot.json             the lengths, which tensors are buffers, and the fingerprint of the run
    manifest.json             the SHA-256 of each, written last

Like a checkpoint a snapshot is there in full or not at all, and is verified before it is read. It comes before a checkpoint
of the same step, so that a run which goes on from a checkpoint has all snapshots up to it, and makes those after it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file

from sde_diffusion.io.atomic import new_folder, remove_folder, to_json
from sde_diffusion.training.checkpoints import manifest
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.checkpoints.tensors import (
    Tensors,
    plain,
    read_object,
    read_tensors,
)
from sde_diffusion.training.errors import first_line

_FACTS = "snapshot.json"


@dataclass(frozen=True)
class Snapshot:
    """Averages by their length `sigma_rel`, each the state of a whole model; the names of its buffers; the run."""

    step: int
    averages: dict[float, Tensors]
    buffers: list[str]
    fingerprint: dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """A snapshot on the disk that was verified: what it holds, without its tensors."""

    path: Path
    step: int
    lengths: tuple[float, ...]
    buffers: frozenset[str]
    fingerprint: dict[str, Any]

    def average(self, length: float) -> Tensors:
        """The state with the average of one of `lengths`; CheckpointError for a file that holds no tensors."""
        return read_tensors(self.path / _name(length))


def save(folder: Path, snapshot: Snapshot) -> Path:
    """Write `folder/step-NNNNNN` and return it once the disk holds it.

    Raises OSError of one sentence, and leaves nothing behind, when it cannot be written; earlier ones stay.
    """
    path = manifest.place(folder, snapshot.step)
    facts = {"lengths": list(snapshot.averages), "buffers": snapshot.buffers, "fingerprint": snapshot.fingerprint}
    try:
        with new_folder(path) as draft:
            for length, state in snapshot.averages.items():
                save_file(plain(state), draft / _name(length))
            (draft / _FACTS).write_bytes(to_json(facts))
            manifest.write(draft, snapshot.step)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OSError(
            f"{path} was not saved ({first_line(error)}); earlier ones stand: make room, then resume"
        ) from error
    return path


def snapshots(folder: Path) -> dict[int, Path]:
    """The snapshots in a folder by step, in rising order, verified or not."""
    return manifest.places(folder)


def open_snapshot(path: Path) -> Stored:
    """Verify a snapshot. Raises CheckpointError, in one sentence, for a damaged or foreign one."""
    path = Path(path)
    names = manifest.verify(path, {_FACTS}, r"sigma-[0-9.e-]+\.safetensors")
    facts = read_object(path / _FACTS)
    try:
        lengths, buffers = tuple(map(float, facts["lengths"])), frozenset(map(str, facts["buffers"]))
        fingerprint = dict(facts["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path / _FACTS} is foreign: it is not that of a snapshot") from error
    if {_FACTS, *map(_name, lengths)} != names:
        raise CheckpointError(f"{path} is foreign: its averages are not of the lengths that it names")
    return Stored(path, int(path.name.removeprefix("step-")), lengths, buffers, fingerprint)


def remove_after(folder: Path, step: int) -> None:
    """Remove the snapshots, or best averages, after `step`: a resumed run makes them again, bit for bit."""
    for number, path in snapshots(folder).items():
        if number > step:
            remove_folder(path)


def _name(length: float) -> str:
    return f"sigma-{length!r}.safetensors"
