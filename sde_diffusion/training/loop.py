"""The training loop, a generator: bars, plots and early stops belong to the caller, who leaves when it likes.

Between two reports the loop runs without a look at the device, in which time interrupts wait for the end of a step.
Whenever it is left, by a break, an interrupt, an error of the caller or its own end, the state of the last whole step
is saved, and the same call goes on from there with the same bits (on one machine, with one number of threads): see
`randomness` for why no generator's state is needed. Several processes stop at the same step, one after the first of
them is interrupted, and save together; after an error of one, the last checkpoint stands. While the last step was not finite no checkpoint falls due, so that
a run that gives up for it rolls back to one from before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.checkpoints.fingerprint import fingerprint
from sde_diffusion.training.checkpoints.tensors import fill
from sde_diffusion.training.distributed.parallel import (
    Loss,
    ParallelStrategy,
    full_state,
    strategy_of,
)
from sde_diffusion.training.distributed.process_group import Agreement, ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.errors import PeerError, explain_out_of_memory
from sde_diffusion.training.lr_schedule import rate
from sde_diffusion.training.metrics import Progress, RunningMetrics
from sde_diffusion.training.precision import LossScale, tf32_policy
from sde_diffusion.training.randomness import seeded_generators
from sde_diffusion.training.settings import ComputeSettings, TrainSettings
from sde_diffusion.training.signals import deferred_signals
from sde_diffusion.training.state import TrainState
from sde_diffusion.training.step import TrainStep, adam, trainable
from sde_diffusion.training.store import CheckpointStore, store_for
from sde_diffusion.training.triggers import RunTriggers

Objective = Callable[..., Tensor]
"""(denoiser, sde, x0 (B, *E), generator, **condition) -> losses (B,)."""

_DEFAULTS, _DENOISING, _USUAL, _ALONE = TrainSettings(), DenoisingScoreMatching(), ComputeSettings(), ProcessGroup()


def train(
    denoiser: Denoiser,
    sde: LinearSDE,
    data: Tensor,
    settings: TrainSettings = _DEFAULTS,
    *,
    objective: Objective = _DENOISING,
    labels: Tensor | None = None,
    label_dropout: float = 0.1,
    folder: str | os.PathLike | None = None,
    resume: bool = True,
    device: torch.device | str = "cpu",
    ema: EMA | None = None,
    compute: ComputeSettings = _USUAL,
    world: ProcessGroup = _ALONE,
) -> Iterator[Progress]:
    """Train `denoiser` in place and yield a report every `log_every` steps and at the last one.

    Args:
        denoiser: moved to `device`; in train mode while the loop runs.
        sde: the process that perturbs the data.
        data: events (N, *E), floating point, on any device; batches take the dtype of the denoiser's parameters.
        settings: see `TrainSettings`.
        objective: the loss of each sample.
        labels: int (N,), given to the denoiser as `label`; a share `label_dropout` of them is replaced by -1.
        folder: the run's folder, which then holds `checkpoints/`, `metrics.jsonl` and, where the settings ask for
            them, `snapshots/`; nothing is kept without one.
        resume: go on from the newest whole checkpoint of the folder. Without it, a folder that has any is refused.
        ema: the average of the weights, to be read by the caller; made from the settings when left out.
        compute: number format, compilation, memory layout, and how processes share the model; see `ComputeSettings`.
        world: this process among those that train together, from `world.joined`. All call with the same arguments and
            get the same reports. Under the sharded engine `denoiser` and `ema.model` stay where they are and are filled
            at the end of the loop.

    Raises at the call:
        TypeError, ValueError: data that are not finite (N, *E), labels that do not fit, nothing to train, snapshots
            without a folder.
    Raises from the generator:
        FolderInUse, CheckpointError, FileExistsError: see `archive.InFolder`.
        OSError: a checkpoint could not be written; the earlier ones stay.
        FloatingPointError: `patience` steps in a row were skipped, or more by the next look at the device; the model
            and the folder are those of the last checkpoint before.
        torch.OutOfMemoryError: a step needed more memory than there is; the checkpoints stay.
    """
    if not isinstance(denoiser, nn.Module):
        raise TypeError(f"the first argument is the denoiser, an nn.Module, got {type(denoiser).__name__}; swap them")
    device = torch.device(device)
    batches = _batches(denoiser, data, labels, label_dropout, settings, device, world.size)
    engine = strategy_of(compute.engine, world)
    engine.parts(settings.microbatches)
    known = fingerprint(settings, data, labels, label_dropout) if folder is not None or world.size > 1 else {}
    world.assert_same_on_all_ranks(known)
    archive = store_for(folder, known, settings, resume, world)
    average = _average(denoiser, settings, ema)
    state, loss = _placed(denoiser, average, sde, objective, settings, engine, compute, device)
    descent = TrainStep(state, settings, batches, loss, engine, compute)
    return _Loop(state, settings, descent, engine.world, archive, denoiser, RunTriggers(settings)).run()


@dataclass
class _Loop:
    state: TrainState
    settings: TrainSettings
    descent: TrainStep
    world: ProcessGroup
    archive: CheckpointStore
    original: nn.Module
    due: RunTriggers
    kept: int = 0
    row: int = 0
    together: bool = False
    stopped: bool = False

    def run(self) -> Iterator[Progress]:
        alone = self.world.size == 1
        with (
            self.archive.opened(self.state),
            _training(self.state.model),
            nullcontext([]) if alone else deferred_signals() as asked,
        ):
            self.kept, self.together = self.state.step, alone or self.state.step == self.settings.steps
            try:
                while self.state.step < self.settings.steps and not self.stopped:
                    yield from self._to_next_report(asked)
            finally:
                if self.state.settled and self.together:
                    with deferred_signals():
                        self._save()
                        self._hand_back()
        if self.stopped:
            raise PeerError("another process of this run was interrupted; all have stopped and saved")

    def _hand_back(self) -> None:
        """Fill the caller's model and average where a copy in shares was trained."""
        if self.state.model is not self.original:
            fill(self.original, full_state(self.state.model.state_dict()), Path("this run"))
            fill(self.state.ema.model, full_state(self.state.ema.state_dict()), Path("this run"))

    def _to_next_report(self, asked: list) -> Iterator[Progress]:
        """The next report, or none when all have agreed to stop before it.

        Alone, an interrupt is handed on at the end of a block. Of several processes each keeps its own in `asked` until
        all have agreed, for one that leaves by itself would be waited for.
        """
        begin, start = self.state.step, time.perf_counter()
        until = self.due.next_report(begin)
        progress = None
        while progress is None and not self.stopped:
            with deferred_signals() as interrupts:
                self._advance(min(until, self.due.next_look(self.state.step)), interrupts, asked)
                progress = self._report(begin, start) if self.state.step == until else None
                self._keep_what_is_due()
        if progress is not None:
            yield progress

    def _keep_what_is_due(self) -> None:
        if self.due.checkpoint(self.state.step, self.kept, self.row == 0):
            self._save()
        elif self.due.snapshot(self.state.step):
            self._snap()

    def _advance(self, until: int, interrupts: list, asked: list) -> None:
        """Steps until one is reached, or there is an interrupt on which all agree; then a look at the device."""
        agreement, stop = Agreement(self.world), False
        policy, fewer = tf32_policy(self.descent.compute.precision), explain_out_of_memory(self.settings.batch_size)
        with seeded_generators(self.descent.batches.device) as seeded, fewer, policy:
            while self.state.step < until and not stop:
                self.descent.step(seeded)
                stop = agreement.reached(bool(interrupts or asked))
            stop |= agreement.settle()
        self._check_finite()
        self.stopped = stop and self.world.size > 1
        self.together |= stop or self.state.step == self.settings.steps

    def _report(self, begin: int, start: float) -> Progress:
        """Before the save of the same step, so that a checkpoint holds the sums of the next report."""
        reading, done = self.state.tally.report(), self.state.step - begin
        progress = Progress(
            step=self.state.step,
            loss=reading.loss,
            gradient_norm=reading.gradient_norm,
            learning_rate=rate(self.settings, self.state.step - 1),
            images_per_second=done * self.settings.batch_size / max(time.perf_counter() - start, 1e-9),
            skipped=reading.skipped,
        )
        self.archive.report(asdict(progress))
        return progress

    def _check_finite(self) -> None:
        reading, step = self.state.tally.read(), self.state.step
        self.row = reading.row
        if reading.worst >= self.settings.patience:
            self.state.settled = False
            raise FloatingPointError(
                f"the loss or its gradient was not finite for {reading.worst} steps in a row by step {step}, which "
                f"changed no parameter, and {self.archive.roll_back(self.state)}; lower the learning rate "
                f"({self.settings.learning_rate:g}) or the scale of the data, in another folder"
            )

    def _save(self) -> None:
        """Unsettled meanwhile: a save that fails is not tried again on the way out."""
        if self.due.snapshot(self.state.step):
            self._snap()
        self.state.settled = False
        self.archive.save(self.state)
        self.kept, self.state.settled = self.state.step, True

    def _snap(self) -> None:
        """Likewise."""
        self.state.settled = False
        self.archive.snapshot(self.state)
        self.state.settled = True


def _placed(
    denoiser: Denoiser,
    average: EMA,
    sde: LinearSDE,
    objective: Objective,
    settings: TrainSettings,
    engine: ParallelStrategy,
    compute: ComputeSettings,
    device: torch.device,
) -> tuple[TrainState, nn.Module]:
    """The state before the first step, and the loss, as the engine shares them out."""
    model = _prepared(engine.placed(denoiser, device), compute)
    average.model.to(next(denoiser.parameters()).device)
    loss = engine.wrapped(Loss(model, objective, sde))
    if model is not denoiser:
        average.follow(model)
    scale, optimizer = LossScale(compute.precision, device), adam(model, settings.learning_rate)
    power = PowerAverages.of(model, settings.tracked)
    return TrainState(model, average, optimizer, RunningMetrics(device), scale, power=power), loss


def _average(denoiser: Denoiser, settings: TrainSettings, ema: EMA | None) -> EMA:
    ema = ema or EMA(denoiser, settings.ema_decay)
    if ema.decay != settings.ema_decay or ema.count or ema.source is not denoiser:
        raise ValueError(
            f"ema is a new EMA(denoiser, {settings.ema_decay}), got one of decay {ema.decay} after {ema.count} updates "
            f"of a {type(ema.source).__name__}; make one for this denoiser and this run"
        )
    return ema


def _batches(
    denoiser: nn.Module,
    data: Tensor,
    labels: Tensor | None,
    label_dropout: float,
    settings: TrainSettings,
    device: torch.device,
    stride: int,
) -> Batches:
    """In the dtype of the first parameter. Raises ValueError for a model without any that asks for a gradient."""
    trained = trainable(denoiser)
    more = (settings.seed, settings.batch_size, device, trained[0].dtype, settings.microbatches, stride)
    return Batches(data, labels, label_dropout, *more)


def _prepared(model: nn.Module, compute: ComputeSettings) -> nn.Module:
    """The model in the memory layout asked for, its network compiled if asked."""
    if compute.channels_last:
        model.to(memory_format=torch.channels_last)  # pyright: ignore
    if compute.compile:
        getattr(model, "backbone", model).compile()
    return model


@contextmanager
def _training(model: nn.Module) -> Iterator[None]:
    """Train mode for the length of the block."""
    before = model.training
    model.train()
    try:
        yield
    finally:
        model.train(before)
