"""The training loop, a generator: bars, plots and early stops belong to the caller, who leaves when it likes.

Between reports the loop never synchronises with the GPU; SIGINT and SIGTERM are deferred to the end of a step. Whenever the
loop is left, by a break, an interrupt, an error of the caller or its own end, the state of the last whole step is saved, and
the same call goes on from there with the same bits, on one machine: see `batches` for why no generator's state is needed.
Several processes stop at the same step, one after the first of them is interrupted, and save together; after an error of
one, the last checkpoint stands. While the last step was not finite no checkpoint falls due, so that a run that gives up for
it rolls back to one from before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn

from sde_diffusion.training.batches import seeded_generators
from sde_diffusion.training.checkpoints.tensors import fill
from sde_diffusion.training.distributed.parallel import full_state, on_meta
from sde_diffusion.training.distributed.process_group import Agreement, ProcessGroup
from sde_diffusion.training.errors import PeerError, explain_lost_worker, explain_out_of_memory
from sde_diffusion.training.metrics import Progress
from sde_diffusion.training.optimizer import rate
from sde_diffusion.training.precision import tf32_policy
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.signals import deferred_signals
from sde_diffusion.training.state import TrainState
from sde_diffusion.training.step import TrainStep
from sde_diffusion.training.store import CheckpointStore
from sde_diffusion.training.threads import using_threads
from sde_diffusion.training.triggers import RunTriggers


@dataclass
class Loop:
    """One run.

    Attributes:
        train_step: changes `state` by one step.
        original: the caller's model, to be filled at the end where a copy in shares was trained.
        threads: chooses `state.threads`, once the state is that of a checkpoint where there is one.
        last_saved: the step of the last checkpoint.
        skipped_in_a_row: steps skipped up to the last synchronisation.
        all_ranks_reached_here: whether every process is at the same step, so that all can save together.
        stop_requested: whether the processes have agreed to stop.
    """

    state: TrainState
    settings: TrainSettings
    train_step: TrainStep
    precision: str
    world: ProcessGroup
    store: CheckpointStore
    original: nn.Module
    due: RunTriggers
    threads: Callable[[int], int]
    last_saved: int = 0
    skipped_in_a_row: int = 0
    all_ranks_reached_here: bool = False
    stop_requested: bool = False

    def run(self) -> Iterator[Progress]:
        """The reports.

        Raises:
            FolderInUse, CheckpointError, FileExistsError: see `store.FolderStore`; no file has changed.
            OSError: a checkpoint could not be written; the earlier ones stay.
            FloatingPointError: `max_consecutive_skips` steps in a row were skipped, or more by the next synchronisation;
                the model and the folder are those of the last checkpoint before.
            torch.OutOfMemoryError: a step needed more memory than there is; the checkpoints stay.
        """
        alone = self.world.size == 1
        with (
            self.store.lock_and_resume(self.state),
            _train_mode(self.state.model),
            closing(self.train_step.batches),
            nullcontext([]) if alone else deferred_signals() as requests,
        ):
            self.state.threads = self.threads(self.state.threads)
            self.last_saved = self.state.step
            self.all_ranks_reached_here = alone or self.state.step == self.settings.steps
            try:
                while self.state.step < self.settings.steps and not self.stop_requested:
                    yield from self._to_next_report(requests)
            finally:
                if self.state.settled and self.all_ranks_reached_here:
                    with deferred_signals():
                        self._save()
                        self._fill_original()
        if self.stop_requested:
            raise PeerError("another process of this run was interrupted; all have stopped and saved")

    def _fill_original(self) -> None:
        """Fill the caller's model and average where a copy in shares was trained, unless they are on the meta device."""
        if self.state.model is not self.original and not on_meta(self.original):
            fill(self.original, full_state(self.state.model.state_dict()), Path("this run"))
            fill(self.state.ema.model, full_state(self.state.ema.state_dict()), Path("this run"))

    def _to_next_report(self, requests: list) -> Iterator[Progress]:
        """The next report, or none when all have agreed to stop before it.

        In one process alone, an interrupt is handed on at the end of a block. Of several, each keeps its own in `requests`
        until all have agreed, since the others would wait for one that leaves by itself.
        """
        begin, start = self.state.step, time.perf_counter()
        until = self.due.next_report(begin)
        progress = None
        while progress is None and not self.stop_requested:
            with deferred_signals() as interrupts:
                self._advance(min(until, self.due.next_sync(self.state.step)), interrupts, requests)
                progress = self._report(begin, start) if self.state.step == until else None
                self._save_what_is_due()
        if progress is not None:
            yield progress

    def _save_what_is_due(self) -> None:
        if self.due.checkpoint(self.state.step, self.last_saved, self.skipped_in_a_row == 0):
            self._save()
        elif self.due.snapshot(self.state.step):
            self._snapshot()

    def _advance(self, until: int, interrupts: list, requests: list) -> None:
        """Steps until one is reached, or there is an interrupt on which all agree; then a host synchronisation."""
        agreement, stop = Agreement(self.world), False
        with (
            seeded_generators(self.train_step.batches.device) as generators,
            explain_out_of_memory(self.settings.batch_size),
            explain_lost_worker(self.train_step.batches.workers),
            tf32_policy(self.precision),
            using_threads(self.state.threads),
        ):
            while self.state.step < until and not stop:
                self.train_step(generators)
                stop = agreement.reached(bool(interrupts or requests))
            stop |= agreement.settle()
        self._check_finite()
        self.stop_requested = stop and self.world.size > 1
        self.all_ranks_reached_here |= stop or self.state.step == self.settings.steps

    def _report(self, begin: int, start: float) -> Progress:
        """Before the save of the same step, so that a checkpoint holds the sums of the next report."""
        reading, done = self.state.metrics.report(), self.state.step - begin
        progress = Progress(
            step=self.state.step,
            loss=reading.loss,
            gradient_norm=reading.gradient_norm,
            learning_rate=rate(self.settings, self.state.step - 1, self.train_step.schedule),
            images_per_second=done * self.settings.batch_size / max(time.perf_counter() - start, 1e-9),
            skipped=reading.skipped,
        )
        self.store.report(asdict(progress))
        return progress

    def _check_finite(self) -> None:
        reading, step = self.state.metrics.read(), self.state.step
        self.skipped_in_a_row = reading.skipped_in_a_row
        if reading.longest_row >= self.settings.max_consecutive_skips:
            self.state.settled = False
            raise FloatingPointError(
                f"the loss or its gradient was not finite for {reading.longest_row} steps in a row by step {step}, which "
                f"changed no parameter, and {self.store.roll_back(self.state)}; lower the learning rate "
                f"({self.settings.learning_rate:g}) or the scale of the data, in another folder"
            )

    def _save(self) -> None:
        """Unsettled meanwhile: a save that fails is not tried again on the way out."""
        if self.due.snapshot(self.state.step):
            self._snapshot()
        self.state.settled = False
        self.store.save(self.state)
        self.last_saved, self.state.settled = self.state.step, True

    def _snapshot(self) -> None:
        """Likewise."""
        self.state.settled = False
        self.store.snapshot(self.state)
        self.state.settled = True


@contextmanager
def _train_mode(model: nn.Module) -> Iterator[None]:
    """Train mode for the length of the block."""
    before = model.training
    model.train()
    try:
        yield
    finally:
        model.train(before)
