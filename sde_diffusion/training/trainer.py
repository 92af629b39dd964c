"""`train`: checks what it is given, puts a run together, and returns the generator of its reports."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from sde_diffusion.data.augmentation import Augmentation, Unchanged, check_network
from sde_diffusion.data.tables import table_of
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.ends import Ends
from sde_diffusion.guidance import Guidance
from sde_diffusion.objectives.base import Objective
from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.sde.base import SDE, LinearSDE
from sde_diffusion.sde.bridge import Bridge
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.data_check import warn_of_scale
from sde_diffusion.training.devices import device_of
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.metrics import Progress
from sde_diffusion.training.optimizer import OptimizerFactory, Schedule, trainable
from sde_diffusion.training.parts import Parts, average_of
from sde_diffusion.training.settings import ComputeSettings, TrainSettings

_SETTINGS, _DENOISING, _COMPUTE, _ALONE = TrainSettings(), DenoisingScoreMatching(), ComputeSettings(), ProcessGroup()


def train(
    denoiser: Denoiser | Ends,
    sde: LinearSDE | Bridge,
    data: Any,
    settings: TrainSettings = _SETTINGS,
    *,
    objective: Objective = _DENOISING,
    labels: Any = None,
    condition: Mapping[str, Any] | None = None,
    label_dropout: float = 0.1,
    dropout: Mapping[str, Any] | None = None,
    source: Any = None,
    augment: Augmentation | None = None,
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
        sde: the process that perturbs the data; a `Bridge` for `Ends`, with `BridgeMatching` as the objective.
        data: samples (N, *E), finite and floating point, a tensor or an array; or a `DataSource`; or a map-style
            `torch.utils.data.Dataset`, see `data.tables`. Batches take the dtype of the denoiser's parameters.
        objective: the loss of each sample, in one of the two forms of `objectives.base`.
        labels: int (N,), given to the denoiser as `label`; True for those of a source or a data set.
        condition: name -> (N, ...), given to the denoiser by these names: real vectors (N, K), images (N, *E), integers.
        label_dropout, dropout: the share of samples whose conditions are dropped, together or one by name, see `Batches`.
        source: a second data set, for objectives that couple two distributions.
        augment: random changes of the samples, such as `data.augmentation.Flips()`, anew at each step.
        folder, resume: where checkpoints and `metrics.jsonl` are kept, see `Parts.loop`; nothing is kept without one.
        device: `auto` (the GPU where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
        ema, optimizer, schedule: in place of those that the settings name, see `Parts`.
        teacher: a model that the objective finds as `run.teacher`: frozen, on `device`, in no checkpoint.
        compute: number format, compilation, memory layout, threads, and how processes share the model.
        world: this process among those that train together, see `join_process_group`. All call with the same arguments.
        extra: plain data that belong to the run's fingerprint, such as how the data were standardised.
        on_start: called in the main process once nothing is left to refuse, before the folder's first file is written.

    Raises TypeError or ValueError at the call, for arguments that do not fit. The generator raises what `Loop.run` does.
    """
    model, process = _checked(denoiser, sde, objective, augment)
    place, second = device_of(device), None if source is None else table_of(source)
    dtype, table = trainable(denoiser)[0].dtype, table_of(data, labels, condition)
    changes, split = None if augment == Unchanged() else augment, (settings.gradient_accumulation, world.size)
    more = (settings.seed, settings.batch_size, place, dtype, *split, second, compute.workers, changes)
    batches = Batches(table, label_dropout, *more, dict(dropout or {}))
    warn_of_scale(denoiser, table)
    average = average_of(model, settings, ema)
    parts = Parts(model, process, settings, objective, compute, world, batches, average, optimizer, schedule, teacher)
    return parts.loop(folder, resume, extra, on_start).run()


def _checked(denoiser: Any, sde: Any, objective: Any, augment: Any) -> tuple[Any, Any]:
    """The model and the process, once they fit each other, the objective and the augmentation."""
    check_model(denoiser, sde)
    _check_objective(sde, objective)
    check_network(denoiser, augment)
    return denoiser, sde


def check_model(denoiser: Any, sde: Any) -> None:
    """Raises TypeError for arguments that are swapped, or a network that is not a denoiser."""
    if isinstance(denoiser, SDE):
        raise TypeError(
            f"the first argument is the denoiser and the second the process, got a {type(denoiser).__name__} first; swap them"
        )
    if isinstance(denoiser, Guidance):
        raise TypeError("a guided model is not fitted; fit the model, and guide it afterwards")
    if not isinstance(denoiser, nn.Module):
        raise TypeError(f"the first argument is the denoiser, an nn.Module, got {type(denoiser).__name__}; give one")
    if isinstance(denoiser, Ends) or isinstance(sde, Bridge):
        _check_bridge(denoiser, sde)
        return
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


def _check_bridge(ends: Any, bridge: Any) -> None:
    if not (isinstance(ends, Ends) and isinstance(bridge, Bridge)):
        raise TypeError(
            f"Ends are trained on a Bridge and denoisers on a process, got {type(ends).__name__} and {type(bridge).__name__}; "
            "write train(PreconditionedEnds(network, network), Straight(eps), x, objective=BridgeMatching(coupling))"
        )


def _check_objective(sde: Any, objective: Any) -> None:
    if isinstance(sde, Bridge) and objective is _DENOISING:
        raise TypeError(
            f"the default loss needs a process with noise at its end, got {type(sde).__name__}; write "
            "objective=BridgeMatching(coupling), with source= for a second data set"
        )
