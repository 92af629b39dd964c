"""What changes while a model is trained, all of it: a checkpoint holds this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from sde_diffusion.training.checkpoints.checkpoint import Checkpoint, CheckpointError
from sde_diffusion.training.checkpoints.fingerprint import check_fingerprint
from sde_diffusion.training.checkpoints.snapshots import Snapshot
from sde_diffusion.training.checkpoints.tensors import fill
from sde_diffusion.training.distributed.parallel import copy_into_shards, full_state
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.metrics import RunningMetrics
from sde_diffusion.training.precision import LossScale


@dataclass
class TrainState:
    """The model, its averages, the optimizer, the sums of the report in progress, and how many steps are done.

    `settled` is False while a step is under way: only a settled state is worth saving. Any tensor of the model, of an
    average or of the optimizer may be one of which this process holds a share; what is kept on disk are whole ones, the
    same for any number of processes.
    """

    model: nn.Module
    ema: EMA
    optimizer: torch.optim.Optimizer
    tally: RunningMetrics
    scale: LossScale
    step: int = 0
    settled: bool = True
    power: PowerAverages = field(default_factory=PowerAverages)

    def checkpoint(self, identity: dict) -> Checkpoint:
        """The state as a checkpoint of the run that `identity` tells from others; all processes must ask."""
        counters = {"averaged": self.ema.count, "tally": self.tally.state(), **self.scale.state()}
        moments = self.optimizer.state_dict()
        moments["state"] = {index: full_state(kept) for index, kept in moments["state"].items()}
        return Checkpoint(
            step=self.step,
            model=full_state(self.model.state_dict()),
            ema=full_state(self.ema.state_dict()),
            optimizer=moments,
            state=counters | {"identity": identity},
            power=full_state(self.power.state_dict()),
        )

    def snapshot(self, identity: dict) -> Snapshot:
        """The power-function averages, each as the state of a whole model; all processes must ask."""
        buffers = {name for name, _ in self.model.named_buffers(remove_duplicate=False)}
        own = {name: value for name, value in self.model.state_dict().items() if name in buffers}
        averages = {length: full_state(own | average.state_dict()) for length, average in self.power.averages.items()}
        return Snapshot(self.step, averages, sorted(own), identity)

    def load_state(self, checkpoint: Checkpoint, identity: dict, source: Path) -> None:
        """Go on from a checkpoint; CheckpointError when it is of another run or another model."""
        check_fingerprint(checkpoint.state.get("identity"), identity, source)
        fill(self.model, checkpoint.model, source)
        fill(self.ema, checkpoint.ema, source)
        fill(self.power, checkpoint.power, source)
        self.power.begin_at(checkpoint.step)
        try:
            _load_adam(self.optimizer, checkpoint.optimizer["state"])
            self.tally.load(checkpoint.state["tally"])
            self.scale.load(checkpoint.state)
            self.ema.average.count = _count(checkpoint.state["averaged"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{source} is foreign: its optimizer or its counters are not of this kind") from error
        self.step = checkpoint.step


def _load_adam(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Take up Adam's moments; the hyper-parameters stay those of this run.

    torch's fused kernels look at neither shapes nor strides, so that a foreign file could make them write beyond the
    memory: every moment is copied into a tensor laid out as its parameter, once it is known to be as large, since a
    small file can hold one number that poses as many. Raises ValueError for other moments.
    """
    parameters = dict(enumerate(p for group in optimizer.param_groups for p in group["params"]))
    for index, moments in state.items():
        _check_moments(parameters.get(index), moments)
    optimizer.state.clear()
    for index, moments in state.items():
        optimizer.state[parameters[index]] = _laid_out(parameters[index], moments)


def _laid_out(parameter: Tensor, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    made = {"step": torch.zeros((), dtype=torch.float32, device=parameter.device)}
    made |= {name: torch.empty_like(parameter, requires_grad=False) for name in ("exp_avg", "exp_avg_sq")}
    for name, value in made.items():
        copy_into_shards(value, stored[name])
    return made


def _check_moments(parameter: torch.Tensor | None, moments: dict) -> None:
    if parameter is None:
        raise ValueError("there are moments of a parameter that this model has not")
    kinds = {name: (tuple(value.shape), value.dtype) for name, value in moments.items()}
    kind = (tuple(parameter.shape), parameter.dtype)
    if kinds != {"step": ((), torch.float32), "exp_avg": kind, "exp_avg_sq": kind}:
        raise ValueError(f"a parameter {kind} has moments {kinds}, which are not Adam's")


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"a count is a whole number from 0, got {value!r}")
    return value
