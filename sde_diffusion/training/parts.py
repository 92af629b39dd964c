"""The parts of a training run, each put in its place, and the loop that they make."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from sde_diffusion.data.stream import Followed, StreamTable
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.objectives.base import Objective, learnt_by
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.batches import Batches, seeded_generators
from sde_diffusion.training.checkpoints.fingerprint import digest, fingerprint
from sde_diffusion.training.distributed.parallel import InShares, ParallelStrategy, strategy_of
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.loop import Loop
from sde_diffusion.training.optimizer import OptimizerFactory, Schedule, make_optimizer
from sde_diffusion.training.precision import autocast
from sde_diffusion.training.settings import ComputeSettings, TrainSettings
from sde_diffusion.training.state import TrainState
from sde_diffusion.training.step import Loss, RunningMetrics, TrainStep
from sde_diffusion.training.store import store_for
from sde_diffusion.training.threads import choose_threads, using_threads
from sde_diffusion.training.triggers import RunTriggers


@dataclass
class Parts:
    """What `train` was given, checked, and the loop made of it.

    Attributes:
        average: the average of the weights, a new one, to be read by the caller. Under the sharded engine `denoiser` and
            `average.model` stay where they are and are filled at the end of the loop.
        optimizer: makes the optimizer of a list of parameters, in place of the one that the settings name; None for that
            one. Its groups' learning rates are the highest ones, which the schedule multiplies.
        schedule: (updates done, updates in all) -> the factor of the learning rate, in place of the settings' one. The
            warm-up multiplies it.
        teacher: a model that the objective finds as `run.teacher`: frozen, on the run's device, in no checkpoint.
    """

    denoiser: Denoiser
    sde: LinearSDE
    settings: TrainSettings
    objective: Objective
    compute: ComputeSettings
    world: ProcessGroup
    batches: Batches
    average: EMA
    optimizer: OptimizerFactory | None
    schedule: Schedule | None
    teacher: nn.Module | None

    @cached_property
    def strategy(self) -> ParallelStrategy:
        """How the processes share the model."""
        return strategy_of(self.compute.engine, self.world)

    def loop(
        self,
        folder: str | os.PathLike | None,
        resume: bool,
        extra: Mapping[str, Any] | None,
        on_start: Callable[[], object] | None,
    ) -> Loop:
        """The run, before its first step; no file has changed.

        Args:
            folder: the run's folder, which then holds `checkpoints/`, `metrics.jsonl` and, where the settings ask for
                them, `snapshots/`; nothing is kept without one.
            resume: go on from the newest whole checkpoint of the folder. Without it, a folder that has any is refused.
            extra, on_start: see `train`.

        Raises ValueError for snapshots without a folder, or processes whose runs differ.
        """
        shares = self.strategy.parts(self.settings.gradient_accumulation)
        state, loss = self._placed()
        known = {} if folder is None and self.world.size == 1 else self._fingerprint(state, dict(extra or {}))
        self.world.assert_same_on_all_ranks(known)
        starting, in_shares = self._starting(state, on_start), self.compute.checkpoints == "shares"
        store = store_for(folder, known, self.settings, resume, self.world, starting, in_shares)
        step, due = self._step(state, loss, shares), RunTriggers(self.settings)
        precision = self.compute.precision
        return Loop(state, self.settings, step, precision, self.world, store, self.denoiser, due, self._threads)

    def _placed(self) -> tuple[TrainState, nn.Module]:
        """The state before the first step, and the loss, as the strategy shares them out."""
        device = self.batches.device
        learnt = self._learnt(device)
        model = _prepared(self.strategy.place(self.denoiser, device), self.compute)
        _laid_out(self.average.model.to(next(self.denoiser.parameters()).device), self.compute)
        loss = self.strategy.wrap_loss(Loss(model, self.objective, self.sde))
        if model is not self.denoiser:
            self.average.track(model)
        power = PowerAverages.of(model, self.settings.tracked)
        trained = model if learnt is None else nn.ModuleDict({"model": model, "objective": learnt})
        made = make_optimizer(trained, self.settings, self.optimizer)
        table = self.batches.table
        stream = Followed(table, self.settings.batch_size) if isinstance(table, StreamTable) else None
        state = TrainState(model, self.average, made, RunningMetrics(device), power=power, stream=stream)
        state.objective = learnt or state.objective
        return state, loss

    def _learnt(self, device: torch.device) -> nn.Module | None:
        """What the objective learns. ValueError where the model is in shares: then nothing else is averaged over processes."""
        learnt = learnt_by(self.objective)
        if learnt is not None and self.world.size > 1 and self.compute.engine == "sharded":
            raise ValueError(
                f"{type(learnt).__name__} is trained with the model, which the sharded engine does not know; take "
                "engine='replicated'"
            )
        return None if learnt is None else learnt.to(device)

    def _step(self, state: TrainState, loss: nn.Module, shares: Any) -> TrainStep:
        place, teacher = self.batches.device, self.teacher
        return TrainStep(
            state,
            self.settings,
            self.batches,
            loss,
            shares,
            self.world,
            no_sync=self.strategy.no_sync(loss),
            autocast=autocast(self.compute.precision, place),
            average=self.average.model if state.model is self.denoiser else InShares("take engine='replicated'"),
            schedule=self.schedule,
            teacher=None if teacher is None else teacher.to(place).eval().requires_grad_(False),
        )

    def _fingerprint(self, state: TrainState, extra: dict[str, Any]) -> dict[str, Any]:
        """All that decides the weights; see `checkpoints.fingerprint`."""
        named = {"process": self.sde, "denoiser": self.denoiser, "objective": self.objective, "extra": extra}
        optimizer = self.optimizer and state.optimizer.description()
        chosen = {"optimizer": optimizer, "schedule": self.schedule, "teacher": self.teacher}
        known = self.settings.weight_determining() | named | _of_data(self.batches)
        known |= {name: one for name, one in chosen.items() if one is not None}
        if self.teacher is not None:
            known["teacher"] = digest(self.teacher.state_dict())
        return fingerprint(**known)

    def _starting(self, state: TrainState, on_start: Callable[[], object] | None) -> Callable[[], object] | None:
        """`on_start` with the threads that the run takes, which it may note."""
        if on_start is None:
            return None

        def start() -> None:
            state.threads = self._threads(state.threads)
            with using_threads(state.threads):
                on_start()

        return start

    def _threads(self, recorded: int) -> int:
        """How many threads the run takes; several processes on one machine take what each has."""
        compute = self.compute
        if self.world.size > 1:
            return compute.threads or torch.get_num_threads()
        if compute.threads or recorded or torch.get_num_threads() == 1:
            return compute.threads or recorded or 1
        with seeded_generators(self.batches.device) as generators:
            batch = replace(self.batches, workers=0).at(0, generators(0))
        return choose_threads(recorded, compute, self.denoiser, self.sde, batch)


def _of_data(batches: Batches) -> dict[str, Any]:
    """The data's part of the fingerprint."""
    digests = batches.table.digest()
    known: dict[str, Any] = {"data": digests.pop("data"), "labels": digests.pop("label", "none")}
    if known["labels"] != "none" or digests:
        known |= {"label_dropout": batches.label_dropout, "conditions": digests}
    if batches.dropout:
        known["dropout"] = dict(batches.dropout)
    if batches.source is not None:
        known["source"] = batches.source.digest()["data"]
    if batches.augment is not None:
        known["augment"] = batches.augment
    return known


def average_of(denoiser: Denoiser, settings: TrainSettings, ema: EMA | None) -> EMA:
    """The average of the weights: `ema`, or one made from the settings. ValueError for one of another run."""
    ema = ema or EMA(denoiser, settings.ema_decay)
    if ema.decay != settings.ema_decay or ema.count or ema.source is not denoiser:
        raise ValueError(
            f"ema is a new EMA(denoiser, {settings.ema_decay}), got one of decay {ema.decay} after {ema.count} updates "
            f"of a {type(ema.source).__name__}; make one for this denoiser and this run"
        )
    return ema


def _prepared(model: nn.Module, compute: ComputeSettings) -> nn.Module:
    """The model in the memory layout asked for, its network compiled if asked."""
    _laid_out(model, compute)
    if compute.compile:
        getattr(model, "backbone", model).compile()
    return model


def _laid_out(model: nn.Module, compute: ComputeSettings) -> None:
    """The memory layout asked for: the average's is the model's, for one fused operation updates all weights of equal layout."""
    if compute.channels_last:
        model.to(memory_format=torch.channels_last)  # pyright: ignore
