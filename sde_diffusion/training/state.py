"""What changes while a model is trained, all of it: a checkpoint holds this and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sde_diffusion.data.stream import Followed
from sde_diffusion.training.checkpoints import manifest, shares
from sde_diffusion.training.checkpoints.checkpoint import Checkpoint, CheckpointError
from sde_diffusion.training.checkpoints.fingerprint import check_fingerprint
from sde_diffusion.training.checkpoints.snapshots import Snapshot
from sde_diffusion.training.checkpoints.tensors import Tensors, check_alike, fill
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
        stream: what is read in an order of its own, where the data are that.
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
    stream: Followed | None = None
    objective: nn.Module = field(default_factory=nn.Identity)

    def __post_init__(self) -> None:
        self.averages: list[Average] = [self.ema.average, *self.power.averages.values()]

    def checkpoint(self, fingerprint: dict, kept: bool = True) -> Checkpoint:
        """The state as a checkpoint of the run of this fingerprint; all processes must ask, and some may not keep what they get."""
        return Checkpoint(
            step=self.step,
            model=full_state(self.model.state_dict(), kept),
            ema=full_state(self.ema.state_dict(), kept),
            optimizer=full_state(self.optimizer.tensors(), kept),
            state=self.facts(fingerprint),
            power=full_state(self.power.state_dict(), kept),
            objective=self.objective.state_dict(),
        )

    def facts(self, fingerprint: dict) -> dict[str, Any]:
        """What fits JSON of a checkpoint of the run of this fingerprint."""
        read = {} if self.stream is None else {"stream": self.stream.state(self.step)}
        counters = {"averaged": self.ema.count, "metrics": self.metrics.state(), "threads": self.threads}
        more = {"asked": self.asked, "optimizer": self.optimizer.facts(), "fingerprint": fingerprint}
        return {**counters, **read, **more}

    def shares(self) -> Tensors:
        """All tensors of a checkpoint under one name each, as this process holds them."""
        return self._models() | _under("optimizer", self.optimizer.tensors())

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
        with _foreign(source):
            self.optimizer.load(checkpoint.optimizer, checkpoint.state["optimizer"])
        self._load_counters(checkpoint.state, checkpoint.step, source)
        fill(self.model, checkpoint.model, source)
        fill(self.ema, checkpoint.ema, source)
        fill(self.objective, checkpoint.objective, source)

    def load_shares(self, path: Path, fingerprint: dict) -> None:
        """The same from shares that were verified, whatever number of processes wrote them."""
        state = shares.read_state(path)
        check_fingerprint(state.get("fingerprint"), fingerprint, path)
        known = {name.partition(":")[2] for name in shares.names_in(path) if name.startswith("optimizer:")}
        shares.fill(path, self._models() | _under("optimizer", self.optimizer.begin(known)))
        with _foreign(path):
            self.optimizer.set_facts(state["optimizer"])
        self._load_counters(state, manifest.step_of(path), path)

    def _models(self) -> Tensors:
        parts = {"model": self.model, "ema": self.ema, "power": self.power, "objective": self.objective}
        return {key: value for name, part in parts.items() for key, value in _under(name, part.state_dict()).items()}

    def _load_counters(self, state: dict[str, Any], step: int, source: Path) -> None:
        with _foreign(source):
            self.metrics.load(state["metrics"])
            self.ema.average.count = _count(state["averaged"])
            self.threads = _count(state["threads"])
            self.asked = [[_count(done), _count(steps)] for done, steps in state["asked"]]
        if self.stream is not None:
            self.stream.load(state.get("stream"))
        self.power.begin_at(step)
        self.step = step

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


@contextmanager
def _foreign(source: Path) -> Iterator[None]:
    """What goes wrong with the numbers of a checkpoint as a CheckpointError."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{source} is foreign: its optimizer or its counters are not of this kind") from error


def _under(name: str, tensors: Tensors) -> Tensors:
    return {f"{name}:{key}": value for key, value in tensors.items()}


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"a count is a whole number from 0, got {value!r}")
    return value
