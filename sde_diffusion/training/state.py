"""What changes while a model is trained, all of it: a checkpoint holds this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sde_diffusion.training.checkpoints.checkpoint import Checkpoint, CheckpointError
from sde_diffusion.training.checkpoints.fingerprint import check_fingerprint
from sde_diffusion.training.checkpoints.snapshots import Snapshot
from sde_diffusion.training.checkpoints.tensors import check_alike, fill
from sde_diffusion.training.distributed.parallel import full_state
from sde_diffusion.training.ema.average import Average
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.optimizer import Optimizer
from sde_diffusion.training.step import RunningMetrics


@dataclass
class TrainState:
    """The model, its averages, the optimizer, the metrics of the report in progress, and how many steps are done.

    Any tensor of the model, of an average or of the optimizer may be one of which this process holds a share. What is kept
    on disk are whole ones, the same for any number of processes.

    Attributes:
        settled: False while a step is under way: only a settled state is worth saving.
        objective: what the objective learns; a module without parameters for one that learns nothing.
        averages: all that a step updates.
        threads: of the CPU, which decide the last bits; 0 until they are chosen.
        asked: [step, steps] for each time that the run was started with another number of steps: from that step on the
            learning rate was that of a run of `steps`.
    """

    model: nn.Module
    ema: EMA
    optimizer: Optimizer
    metrics: RunningMetrics
    step: int = 0
    settled: bool = True
    power: PowerAverages = field(default_factory=PowerAverages)
    threads: int = 0
    asked: list[list[int]] = field(default_factory=list)
    objective: nn.Module = field(default_factory=nn.Identity)

    def __post_init__(self) -> None:
        self.averages: list[Average] = [self.ema.average, *self.power.averages.values()]

    def checkpoint(self, fingerprint: dict) -> Checkpoint:
        """The state as a checkpoint of the run of this fingerprint; all processes must ask."""
        tensors, facts = self.optimizer.state()
        counters = {"averaged": self.ema.count, "metrics": self.metrics.state(), "threads": self.threads}
        return Checkpoint(
            step=self.step,
            model=full_state(self.model.state_dict()),
            ema=full_state(self.ema.state_dict()),
            optimizer=tensors,
            state={**counters, "asked": self.asked, "optimizer": facts, "fingerprint": fingerprint},
            power=full_state(self.power.state_dict()),
            objective=self.objective.state_dict(),
        )

    def snapshot(self, fingerprint: dict) -> Snapshot:
        """The power-function averages, each as the state of a whole model; all processes must ask."""
        buffers = {name for name, _ in self.model.named_buffers(remove_duplicate=False)}
        own = {name: value for name, value in self.model.state_dict().items() if name in buffers}
        averages = {length: full_state(own | average.state_dict()) for length, average in self.power.averages.items()}
        return Snapshot(self.step, averages, sorted(own), fingerprint)

    def load_state(self, checkpoint: Checkpoint, fingerprint: dict, source: Path) -> None:
        """Go on from a checkpoint; CheckpointError when it is of another run or another model."""
        check_fingerprint(checkpoint.state.get("fingerprint"), fingerprint, source)
        check_alike(checkpoint.model, self.model.state_dict(), source)
        check_alike(checkpoint.objective, self.objective.state_dict(), source)
        fill(self.power, checkpoint.power, source)
        self.power.begin_at(checkpoint.step)
        try:
            self.optimizer.load(checkpoint.optimizer, checkpoint.state["optimizer"])
            self.metrics.load(checkpoint.state["metrics"])
            self.ema.average.count = _count(checkpoint.state["averaged"])
            self.threads = _count(checkpoint.state["threads"])
            self.asked = [[_count(step), _count(steps)] for step, steps in checkpoint.state["asked"]]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{source} is foreign: its optimizer or its counters are not of this kind") from error
        fill(self.model, checkpoint.model, source)
        fill(self.ema, checkpoint.ema, source)
        fill(self.objective, checkpoint.objective, source)
        self.step = checkpoint.step

    def ask(self, steps: int) -> str | None:
        """Note that the run is to have `steps`; a sentence where it was to have another number until now.

        Raises CheckpointError for fewer steps than are done.
        """
        if self.step > steps:
            raise CheckpointError(
                f"the run has done {self.step} steps and is asked for {steps}; ask for at least {self.step}, or train in "
                "another folder"
            )
        before = self.asked[-1][1] if self.asked else steps
        if not self.asked or before != steps:
            self.asked = [*self.asked, [self.step, steps]]
        return None if before == steps else f"asked for {steps} steps instead of {before}, from step {self.step} on"


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"a count is a whole number from 0, got {value!r}")
    return value
