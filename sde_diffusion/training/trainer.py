"""`train`: checks what it is given, puts a run together, and returns the generator of its reports."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from sde_diffusion.data.tables import table_of
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.objectives.base import Objective, with_run
from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.sde.base import SDE, LinearSDE
from sde_diffusion.training.batches import Batches, seeded_generators
from sde_diffusion.training.checkpoints.fingerprint import digest, fingerprint
from sde_diffusion.training.data_check import warn_of_scale
from sde_diffusion.training.devices import device_of
from sde_diffusion.training.distributed.parallel import InShares, ParallelStrategy, strategy_of
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.loop import Loop
from sde_diffusion.training.metrics import Progress
from sde_diffusion.training.optimizer import OptimizerFactory, Schedule, make_optimizer, trainable
from sde_diffusion.training.precision import autocast
from sde_diffusion.training.settings import ComputeSettings, TrainSettings
from sde_diffusion.training.state import TrainState
from sde_diffusion.training.step import Loss, RunningMetrics, TrainStep
from sde_diffusion.training.store import store_for
from sde_diffusion.training.threads import choose_threads
from sde_diffusion.training.triggers import RunTriggers

_SETTINGS, _DENOISING, _COMPUTE, _ALONE = TrainSettings(), DenoisingScoreMatching(), ComputeSettings(), ProcessGroup()


def train(
    denoiser: Denoiser,
    sde: LinearSDE,
    data: Any,
    settings: TrainSettings = _SETTINGS,
    *,
    objective: Objective = _DENOISING,
    labels: Any = None,
    condition: Mapping[str, Any] | None = None,
    label_dropout: float = 0.1,
    source: Any = None,
    folder: str | os.PathLike | None = None,
    resume: bool = True,
    device: torch.device | str = "auto",
    ema: EMA | None = None,
    optimizer: OptimizerFactory | None = None,
    schedule: Schedule | None = None,
    teacher: nn.Module | None = None,
    compute: ComputeSettings = _COMPUTE,
    world: ProcessGroup = _ALONE,
    extra: Mapping[str, Any] | None = None,
    on_start: Callable[[], object] | None = None,
) -> Iterator[Progress]:
    """Train `denoiser` in place and yield a report every `log_every` steps and at the last one.

    Args:
        denoiser: moved to `device`; in train mode while the loop runs.
        sde: the process that perturbs the data.
        data: samples (N, *E), a tensor or an array, floating point, on any device; or a `DataSource`; or a map-style
            `torch.utils.data.Dataset` (see `data.tables`). Batches take the dtype of the denoiser's parameters.
        settings: see `TrainSettings`.
        objective: the loss of each sample, in one of the two forms of `objectives.base`.
        labels: int (N,), given to the denoiser as `label`; True for those of a source or a data set.
        condition: name -> (N, ...), given to the denoiser by these names: real vectors (N, K), images (N, *E), integers.
        label_dropout: the share of samples whose conditions are dropped: -1 for integers, 0 for real numbers.
        source: a second data set, for objectives that couple two distributions.
        folder: the run's folder, which then holds `checkpoints/`, `metrics.jsonl` and, where the settings ask for
            them, `snapshots/`; nothing is kept without one.
        resume: go on from the newest whole checkpoint of the folder. Without it, a folder that has any is refused.
        device: `auto` (the GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        ema: the average of the weights, to be read by the caller; made from the settings when left out.
        optimizer: makes the optimizer of a list of parameters, in place of the one that the settings name. Its groups'
            learning rates are the highest ones, which the schedule multiplies.
        schedule: (updates done, updates in all) -> the factor of the learning rate, in place of the settings' one. The
            warm-up multiplies it.
        teacher: a model that the objective finds as `run.teacher`: frozen, on `device`, in no checkpoint.
        compute: number format, compilation, memory layout, threads, and how processes share the model.
        world: this process among those that train together, from `join_process_group`. All call with the same arguments
            and get the same reports. Under the sharded engine `denoiser` and `ema.model` stay where they are and are
            filled at the end of the loop.
        extra: plain data of the caller's that belong to the run's fingerprint, such as how the data were standardised.
        on_start: called in the main process once nothing is left to refuse, before the folder's first file is written.

    Raises at the call:
        TypeError, ValueError: arguments of the wrong kind or swapped, data that are not finite (N, *E), conditions that do
            not fit, nothing to train, snapshots without a folder, a device that is not there.
    Raises from the generator:
        FolderInUse, CheckpointError, FileExistsError: see `store.FolderStore`; no file has changed.
        OSError: a checkpoint could not be written; the earlier ones stay.
        FloatingPointError: `max_consecutive_skips` steps in a row were skipped, or more by the next synchronisation; the
            model and the folder are those of the last checkpoint before.
        torch.OutOfMemoryError: a step needed more memory than there is; the checkpoints stay.
    """
    check_model(denoiser, sde)
    dtype, place = trainable(denoiser)[0].dtype, device_of(device)
    table = table_of(data, labels, condition)
    second = None if source is None else table_of(source)
    more = (settings.seed, settings.batch_size, place, dtype, settings.gradient_accumulation, world.size, second)
    batches = Batches(table, label_dropout, *more)
    warn_of_scale(denoiser, table)
    strategy = strategy_of(compute.engine, world)
    parts = strategy.parts(settings.gradient_accumulation)
    average = _average(denoiser, settings, ema)
    state, loss = _place(denoiser, average, sde, objective, settings, strategy, compute, place, optimizer)
    known: dict[str, Any] = {}
    if folder is not None or world.size > 1:
        named = {"process": sde, "denoiser": denoiser, "objective": objective, "extra": dict(extra or {})}
        chosen = {"optimizer": optimizer and state.optimizer.description(), "schedule": schedule, "teacher": teacher}
        known = _fingerprint(settings, batches, named | {name: one for name, one in chosen.items() if one is not None})
    world.assert_same_on_all_ranks(known)
    store = store_for(folder, known, settings, resume, world, on_start)
    train_step = TrainStep(
        state,
        settings,
        batches,
        loss,
        parts,
        world,
        no_sync=strategy.no_sync(loss),
        autocast=autocast(compute.precision, place),
        average=average.model if state.model is denoiser else InShares(),
        schedule=schedule,
        teacher=None if teacher is None else teacher.to(place).eval().requires_grad_(False),
    )
    threads = partial(_threads, compute, denoiser, sde, batches, world)
    loop = Loop(state, settings, train_step, compute.precision, world, store, denoiser, RunTriggers(settings), threads)
    return loop.run()


def check_model(denoiser: Any, sde: Any) -> None:
    """Raises TypeError for arguments that are swapped, or a network that is not a denoiser."""
    if isinstance(denoiser, SDE):
        raise TypeError(
            f"the first argument is the denoiser and the second the process, got a {type(denoiser).__name__} first; swap them"
        )
    if not isinstance(denoiser, nn.Module):
        raise TypeError(f"the first argument is the denoiser, an nn.Module, got {type(denoiser).__name__}; give one")
    if not isinstance(sde, SDE):
        raise TypeError(
            f"the second argument is the process, such as VP(), got {type(sde).__name__}; write fit(model, VP(), x)"
        )
    takes_kernel = "kernel" in inspect.signature(denoiser.forward).parameters
    if isinstance(sde, LinearSDE) and not isinstance(denoiser, Denoiser) and not takes_kernel:
        raise TypeError(
            f"{type(denoiser).__name__} is a network and no Denoiser; wrap it: "
            "Preconditioned(network, EDMPreconditioning(data_std=1.0))"
        )


def _place(
    denoiser: Denoiser,
    average: EMA,
    sde: LinearSDE,
    objective: Objective,
    settings: TrainSettings,
    strategy: ParallelStrategy,
    compute: ComputeSettings,
    device: torch.device,
    optimizer: OptimizerFactory | None,
) -> tuple[TrainState, nn.Module]:
    """The state before the first step, and the loss, as the strategy shares them out."""
    model = _prepared(strategy.place(denoiser, device), compute)
    average.model.to(next(denoiser.parameters()).device)
    loss = strategy.wrap_loss(Loss(model, with_run(objective), sde))
    if model is not denoiser:
        average.track(model)
    power = PowerAverages.of(model, settings.tracked)
    made = make_optimizer(model, settings, optimizer)
    return TrainState(model, average, made, RunningMetrics(device), power=power), loss


def _fingerprint(settings: TrainSettings, batches: Batches, named: dict[str, Any]) -> dict[str, Any]:
    """All that decides the weights; see `checkpoints.fingerprint`."""
    digests = batches.table.digest()
    known = (
        settings.weight_determining() | named | {"data": digests.pop("data"), "labels": digests.pop("label", "none")}
    )
    if known["labels"] != "none" or digests:
        known |= {"label_dropout": batches.label_dropout, "conditions": digests}
    if batches.source is not None:
        known["source"] = batches.source.digest()["data"]
    if isinstance(teacher := named.get("teacher"), nn.Module):
        known["teacher"] = digest(teacher.state_dict())
    return fingerprint(**known)


def _average(denoiser: Denoiser, settings: TrainSettings, ema: EMA | None) -> EMA:
    ema = ema or EMA(denoiser, settings.ema_decay)
    if ema.decay != settings.ema_decay or ema.count or ema.source is not denoiser:
        raise ValueError(
            f"ema is a new EMA(denoiser, {settings.ema_decay}), got one of decay {ema.decay} after {ema.count} updates "
            f"of a {type(ema.source).__name__}; make one for this denoiser and this run"
        )
    return ema


def _threads(
    compute: ComputeSettings, denoiser: nn.Module, sde: Any, batches: Batches, world: ProcessGroup, recorded: int
) -> int:
    """How many threads the run takes; several processes on one machine take what each has."""
    if world.size > 1:
        return compute.threads or torch.get_num_threads()
    if compute.threads or recorded or torch.get_num_threads() == 1:
        return compute.threads or recorded or 1
    with seeded_generators(batches.device) as generators:
        batch = batches.at(0, generators(0))
    return choose_threads(recorded, compute, denoiser, sde, batch)


def _prepared(model: nn.Module, compute: ComputeSettings) -> nn.Module:
    """The model in the memory layout asked for, its network compiled if asked."""
    if compute.channels_last:
        model.to(memory_format=torch.channels_last)  # pyright: ignore
    if compute.compile:
        getattr(model, "backbone", model).compile()
    return model
