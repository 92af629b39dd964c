"""Where a run keeps itself while it trains: in a folder, or nowhere."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.io.atomic import sweep
from sde_diffusion.io.lock import locked
from sde_diffusion.training.checkpoints import checkpoint, snapshots
from sde_diffusion.training.checkpoints.checkpoint import Checkpoint
from sde_diffusion.training.checkpoints.snapshots import Snapshot
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.run_folder import RunFolder
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.state import TrainState


class CheckpointStore(ABC):
    """What the loop asks of the place it saves to."""

    @contextmanager
    def opened(self, state: TrainState) -> Iterator[None]:
        """For the length of the block the place belongs to this run alone; `state` takes up what it holds."""
        yield

    @abstractmethod
    def save(self, state: TrainState) -> None:
        """Keep a settled state; one that is kept already costs nothing."""

    @abstractmethod
    def snapshot(self, state: TrainState) -> None:
        """Keep the power-function averages of a settled state, for good, before its checkpoint; once is enough."""

    @abstractmethod
    def roll_back(self, state: TrainState) -> str:
        """Return `state` to what was kept last, where anything was; a clause that says what became of it."""

    @abstractmethod
    def report(self, record: dict[str, Any]) -> None:
        """Keep a report."""


class NullStore(CheckpointStore):
    """Keeps nothing."""

    def save(self, state: TrainState) -> None:
        """Nothing."""

    def snapshot(self, state: TrainState) -> None:
        """Nothing."""

    def roll_back(self, state: TrainState) -> str:
        """Nothing: a skipped step changes no parameter."""
        return "the parameters are those before"

    def report(self, record: dict[str, Any]) -> None:
        """Nothing."""


class FolderStore(CheckpointStore):
    """Keeps the last `keep` checkpoints and all reports in a run's folder (see `run_folder`).

    `identity` is what tells this run from others: a checkpoint of another one is refused. With `resume` False, a folder
    that holds checkpoints is refused.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], keep: int, resume: bool) -> None:
        self.run, self.identity, self.keep, self.resume = RunFolder(folder), identity, keep, resume
        self.saved: int | None = None
        self.snapped: int | None = None

    @contextmanager
    def opened(self, state: TrainState) -> Iterator[None]:
        """Lock the folder, sweep what a killed run left half written, and resume.

        Raises FolderInUse for a second run; CheckpointError when no checkpoint is whole, or for another run's.
        """
        with locked(self.run.path):
            self.run.checkpoints.mkdir(exist_ok=True)
            sweep(self.run.path)
            sweep(self.run.checkpoints)
            sweep(self.run.snapshots)
            self._take_up(state)
            yield

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, then remove the oldest beyond `keep`. Raises OSError when it cannot be written."""
        if state.step != self.saved:
            self.write(state.checkpoint(self.identity))

    def write(self, whole: Checkpoint) -> None:
        """The same for a state that has been put together."""
        checkpoint.save(self.run.checkpoints, whole)
        self.saved = whole.step
        checkpoint.prune(self.run.checkpoints, self.keep, whole.step)

    def snapshot(self, state: TrainState) -> None:
        """Write a snapshot. Raises OSError when it cannot be written."""
        if state.step != self.snapped:
            self.write_snapshot(state.snapshot(self.identity))

    def write_snapshot(self, whole: Snapshot) -> None:
        """The same for averages that have been put together."""
        snapshots.save(self.run.snapshots, whole)
        self.snapped = whole.step

    def roll_back(self, state: TrainState) -> str:
        """Take up the newest whole checkpoint; before the first one, leave the parameters, which no skip changes."""
        return self.return_to(checkpoint.latest(self.run.checkpoints), state)

    def return_to(self, path: Path | None, state: TrainState) -> str:
        """The same for a checkpoint that has been found."""
        if path is None:
            return "there is no checkpoint yet"
        state.load_state(checkpoint.load(path), self.identity, path)
        return f"rolled back to {path.name}"

    def report(self, record: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        metrics_file.append(self.run.metrics_file, record)

    def _take_up(self, state: TrainState) -> None:
        path = checkpoint.latest(self.run.checkpoints)
        if path is not None and not self.resume:
            raise FileExistsError(f"{self.run.path} holds checkpoints up to {path.name}; resume or take another folder")
        if path is not None:
            state.load_state(checkpoint.load(path), self.identity, path)
            self.saved = self.snapped = state.step
            checkpoint.quarantine(self.run.checkpoints, state.step)
        snapshots.remove_after(self.run.snapshots, state.step)
        metrics_file.truncate_after(self.run.metrics_file, state.step)


class DistributedStore(CheckpointStore):
    """A folder that several processes read and the leading one writes; all see it, as on one machine or a shared disk."""

    def __init__(self, folder: FolderStore, world: ProcessGroup) -> None:
        self.folder, self.world = folder, world

    @contextmanager
    def opened(self, state: TrainState) -> Iterator[None]:
        """The leading process opens the folder; the others take up the checkpoint that it took up."""
        with ExitStack() as stack:
            step = self.world.lead(lambda: self._open(stack, state))
            if step and not self.world.is_main:
                path = self.folder.run.checkpoints / f"step-{step:06d}"
                state.load_state(checkpoint.load(path), self.folder.identity, path)
                self.folder.saved = self.folder.snapped = step
            yield

    def save(self, state: TrainState) -> None:
        """All put the state together, one writes it, and its error becomes everybody's."""
        if state.step != self.folder.saved:
            whole = state.checkpoint(self.folder.identity)
            self.world.lead(lambda: self.folder.write(whole))
            self.folder.saved = whole.step

    def snapshot(self, state: TrainState) -> None:
        """Likewise."""
        if state.step != self.folder.snapped:
            whole = state.snapshot(self.folder.identity)
            self.world.lead(lambda: self.folder.write_snapshot(whole))
            self.folder.snapped = whole.step

    def roll_back(self, state: TrainState) -> str:
        """All return to the checkpoint that the leading process finds."""
        path = self.world.lead(lambda: checkpoint.latest(self.folder.run.checkpoints))
        return self.folder.return_to(path, state)

    def report(self, record: dict[str, Any]) -> None:
        """One writes."""
        if self.world.is_main:
            self.folder.report(record)

    def _open(self, stack: ExitStack, state: TrainState) -> int:
        stack.enter_context(self.folder.opened(state))
        return state.step


def store_for(
    folder: str | os.PathLike | None, known: dict, settings: TrainSettings, resume: bool, world: ProcessGroup
) -> CheckpointStore:
    """The place of a run: `folder`, shared by all processes of the world, or none.

    Raises ValueError for snapshots without a folder.
    """
    if folder is None and settings.snapshot_every:
        raise ValueError(
            f"snapshot_every is {settings.snapshot_every} and there is no folder for snapshots; name one, or set it to 0"
        )
    if folder is None:
        return NullStore()
    alone = FolderStore(Path(folder), known, settings.keep, resume)
    return alone if world.size == 1 else DistributedStore(alone, world)
