"""Where a run keeps its checkpoints while it trains: in a folder, or nowhere."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.io.atomic import sweep
from sde_diffusion.io.lock import locked, refuse_links
from sde_diffusion.training.checkpoints import checkpoint, manifest, shares, snapshots
from sde_diffusion.training.checkpoints.checkpoint import Checkpoint
from sde_diffusion.training.checkpoints.put_together import put_together
from sde_diffusion.training.checkpoints.snapshots import Snapshot
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.run_folder import RunFolder
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.state import TrainState


class CheckpointStore(ABC):
    """What the loop asks of the place it saves to."""

    @contextmanager
    def lock_and_resume(self, state: TrainState) -> Iterator[None]:
        """For the length of the block the place belongs to this run alone; `state` goes on from what it holds."""
        yield

    @abstractmethod
    def save(self, state: TrainState) -> None:
        """Save a settled state; one that is saved already costs nothing."""

    @abstractmethod
    def snapshot(self, state: TrainState) -> None:
        """Keep the power-function averages of a settled state, for good, before its checkpoint; once is enough."""

    @abstractmethod
    def roll_back(self, state: TrainState) -> str:
        """Return `state` to what was saved last, where anything was; a clause that says what became of it."""

    @abstractmethod
    def report(self, record: dict[str, Any]) -> None:
        """Keep a report."""


class NullStore(CheckpointStore):
    """Keeps nothing."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    @contextmanager
    def lock_and_resume(self, state: TrainState) -> Iterator[None]:
        """Nothing to go on from."""
        state.ask(self.steps)
        yield

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
    """Keeps the newest checkpoints and all reports in a run's folder (see `run_folder`).

    `fingerprint` is what tells this run from others: a checkpoint of another one is refused. With `resume` False, a folder
    that holds checkpoints is refused. `on_start` is called once nothing is left to refuse, before anything is written.
    """

    def __init__(
        self,
        folder: Path,
        fingerprint: dict[str, Any],
        settings: TrainSettings,
        resume: bool,
        on_start: Callable[[], object] | None = None,
    ) -> None:
        self.run, self.fingerprint, self.settings = RunFolder(folder), fingerprint, settings
        self.resume, self.on_start = resume, on_start
        self.saved: int | None = None
        self.snapped: int | None = None
        self.resumed: Path | None = None

    @contextmanager
    def lock_and_resume(self, state: TrainState) -> Iterator[None]:
        """Lock the folder, go on from its newest whole checkpoint, and remove what a killed run left half written.

        Raises FolderInUse for a second run; CheckpointError when no checkpoint is whole, or for another run's; ValueError
        for a symbolic link in the run's folder. What is refused has changed no file.
        """
        with locked(self.run.path):
            refuse_links(self.run.path)
            change = self._load(state)
            if self.on_start is not None:
                self.on_start()
            self._tidy(state)
            if change is not None:
                self.report({"step": state.step, "note": change})
            yield

    def save(self, state: TrainState) -> None:
        """Write a checkpoint, then remove the oldest beyond `max_checkpoints`. Raises OSError when it cannot be written."""
        if state.step != self.saved:
            self.write(state.checkpoint(self.fingerprint))
        self.put_together(state.step)

    def write(self, whole: Checkpoint) -> None:
        """The same for a state that has been put together."""
        checkpoint.save(self.run.checkpoints, whole)
        self.note_saved(whole.step)

    def note_saved(self, step: int) -> None:
        """A checkpoint of that step is there: remove the oldest beyond `max_checkpoints`."""
        self.saved = step
        for folder in (self.run.checkpoints, self.run.shares):
            checkpoint.prune(folder, self.settings.max_checkpoints, step)

    def put_together(self, step: int) -> None:
        """Where `step` is the run's last and lies in shares alone, put them together, one tensor at a time."""
        kept, whole = (manifest.place(folder, step) for folder in (self.run.shares, self.run.checkpoints))
        if step == self.settings.steps and kept.is_dir() and not whole.exists():
            put_together(kept, self.run.checkpoints)

    def snapshot(self, state: TrainState) -> None:
        """Write a snapshot. Raises OSError when it cannot be written."""
        if state.step != self.snapped:
            self.write_snapshot(state.snapshot(self.fingerprint))

    def write_snapshot(self, whole: Snapshot) -> None:
        """The same for averages that have been put together."""
        snapshots.save(self.run.snapshots, whole)
        self.snapped = whole.step

    def roll_back(self, state: TrainState) -> str:
        """Load the newest whole checkpoint; before the first one, leave the parameters, which no skip changes."""
        return self.return_to(self.newest(), state)

    def newest(self) -> Path | None:
        """The newest checkpoint that verifies, in shares or of whole tensors; None when there are none at all."""
        found = (shares.latest(self.run.shares), checkpoint.latest(self.run.checkpoints))
        return max((path for path in found if path is not None), key=manifest.step_of, default=None)

    def return_to(self, path: Path | None, state: TrainState) -> str:
        """The same for a checkpoint that has been found."""
        if path is None:
            return "there is no checkpoint yet"
        self._fill(state, path)
        return f"rolled back to {path.name}"

    def report(self, record: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        metrics_file.append(self.run.metrics_file, record)

    def resume_from(self, path: Path, state: TrainState) -> str | None:
        """Load a checkpoint; a sentence where the run is now to have another number of steps."""
        self._fill(state, path)
        change = state.ask(self.settings.steps)
        self.saved = self.snapped = state.step
        return change

    def _fill(self, state: TrainState, path: Path) -> None:
        if path.parent == self.run.shares:
            state.load_shares(path, self.fingerprint)
        else:
            state.load_state(checkpoint.load(path), self.fingerprint, path)
        self.resumed = path

    def _load(self, state: TrainState) -> str | None:
        path = self.newest()
        if path is not None and not self.resume:
            raise FileExistsError(f"{self.run.path} holds checkpoints up to {path.name}; resume or take another folder")
        if path is not None:
            return self.resume_from(path, state)
        return state.ask(self.settings.steps)

    def _tidy(self, state: TrainState) -> None:
        """Remove orphans, and what comes after the state."""
        self.run.checkpoints.mkdir(exist_ok=True)
        for folder in (self.run.path, self.run.checkpoints, self.run.shares, self.run.snapshots, self.run.best):
            sweep(folder)
        if state.step:
            checkpoint.quarantine(self.run.checkpoints, state.step)
            checkpoint.quarantine(self.run.shares, state.step)
        snapshots.remove_after(self.run.snapshots, state.step)
        snapshots.remove_after(self.run.best, state.step)
        metrics_file.truncate_after(self.run.metrics_file, state.step)


class DistributedStore(CheckpointStore):
    """A folder that several processes read, as on one machine or a shared disk.

    The main process writes whole tensors; with `in_shares` each writes what it holds, which no process puts together.
    """

    def __init__(self, folder: FolderStore, world: ProcessGroup, in_shares: bool = False) -> None:
        self.folder, self.world, self.in_shares = folder, world, in_shares

    @contextmanager
    def lock_and_resume(self, state: TrainState) -> Iterator[None]:
        """The main process opens the folder; the others load the checkpoint that it loaded."""
        with ExitStack() as stack:
            path = self.world.run_on_main(lambda: self._open(stack, state))
            if not self.world.is_main:
                self._follow(path, state)
            yield

    def save(self, state: TrainState) -> None:
        """All take part, and the error of the main process is raised on all."""
        if state.step != self.folder.saved:
            self._save(state)
        self.world.run_on_main(lambda: self.folder.put_together(state.step))

    def _save(self, state: TrainState) -> None:
        if self.in_shares:
            facts, place = state.facts(self.folder.fingerprint), self.folder.run.shares
            shares.save(place, state.step, state.shares(), facts, self.world)
            self.world.run_on_main(lambda: self.folder.note_saved(state.step))
        else:
            whole = state.checkpoint(self.folder.fingerprint, kept=self.world.is_main)
            self.world.run_on_main(lambda: self.folder.write(whole))
        self.folder.saved = state.step

    def snapshot(self, state: TrainState) -> None:
        """Likewise."""
        if state.step != self.folder.snapped:
            whole = state.snapshot(self.folder.fingerprint)
            self.world.run_on_main(lambda: self.folder.write_snapshot(whole))
            self.folder.snapped = whole.step

    def roll_back(self, state: TrainState) -> str:
        """All return to the checkpoint that the main process finds."""
        path = self.world.run_on_main(self.folder.newest)
        return self.folder.return_to(path, state)

    def report(self, record: dict[str, Any]) -> None:
        """One writes."""
        if self.world.is_main:
            self.folder.report(record)

    def _open(self, stack: ExitStack, state: TrainState) -> Path | None:
        stack.enter_context(self.folder.lock_and_resume(state))
        return self.folder.resumed

    def _follow(self, path: Path | None, state: TrainState) -> None:
        if path is not None:
            self.folder.resume_from(path, state)
        else:
            state.ask(self.folder.settings.steps)


def store_for(
    folder: str | os.PathLike | None,
    fingerprint: dict,
    settings: TrainSettings,
    resume: bool,
    world: ProcessGroup,
    on_start: Callable[[], object] | None = None,
    in_shares: bool = False,
) -> CheckpointStore:
    """The place of a run: `folder`, shared by all processes of the world, or none.

    Raises ValueError for snapshots without a folder, or beside checkpoints in shares, since they are whole.
    """
    if in_shares and settings.snapshot_every:
        raise ValueError(
            f"snapshot_every is {settings.snapshot_every}, and snapshots are put together in each process, which checkpoints "
            "in shares avoid; set it to 0, or compute.checkpoints to whole"
        )
    if folder is None and settings.snapshot_every:
        raise ValueError(
            f"snapshot_every is {settings.snapshot_every} and there is no folder for snapshots; name one, or set it to 0"
        )
    if folder is None:
        return NullStore(settings.steps)
    alone = FolderStore(Path(folder), fingerprint, settings, resume, on_start)
    return alone if world.size == 1 else DistributedStore(alone, world, in_shares)
