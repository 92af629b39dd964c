"""What a training run is asked to do, and how the machines compute it: plain numbers, no torch.

`TrainSettings` decides the weights, but for a few fields that say when to report, to save and to give up. `ComputeSettings`
changes speed, memory and the last bits.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from sde_diffusion.specs import other_names
from sde_diffusion.training.ema.profile import LONGEST

PRECISIONS = ("float32", "tf32", "bfloat16")
ENGINES = ("replicated", "sharded")
CHECKPOINTS = ("whole", "shares")
OPTIMIZERS = ("adam", "adamw", "muon")
SCHEDULES = ("constant", "cosine", "inverse_sqrt")

OTHER_NAMES = {
    "accumulation": "gradient_accumulation",
    "batch": "batch_size",
    "beta": "betas",
    "clip": "max_grad_norm",
    "ema": "ema_decay",
    "epoch": "steps",
    "epochs": "steps",
    "grad_accum": "gradient_accumulation",
    "grad_clip": "max_grad_norm",
    "gradient_accumulation_steps": "gradient_accumulation",
    "gradient_clip": "max_grad_norm",
    "gradient_clip_val": "max_grad_norm",
    "iterations": "steps",
    "keep": "max_checkpoints",
    "learning_rate_schedule": "schedule",
    "lr": "learning_rate",
    "lr_schedule": "schedule",
    "lr_scheduler": "schedule",
    "max_steps": "steps",
    "microbatches": "gradient_accumulation",
    "num_epochs": "steps",
    "optim": "optimizer",
    "patience": "max_consecutive_skips",
    "save_every": "checkpoint_every",
    "scheduler": "schedule",
    "train_batch_size": "batch_size",
    "warmup_steps": "warmup",
    "wd": "weight_decay",
}
"""What others call a field of `TrainSettings`."""


def name_here(name: str) -> str | None:
    """The field of `TrainSettings` that is meant by a name of it or of its usual other names; None for neither."""
    known = {field.name for field in fields(TrainSettings)}
    return name if name in known else OTHER_NAMES.get(name)


def steps_of_epochs(name: str) -> str:
    """What to write instead where steps are given by epochs."""
    return "; one epoch is len(data) // batch_size steps" if "epoch" in name else ""


@dataclass(frozen=True)
class ComputeSettings:
    """How a step is computed.

    Attributes:
        precision: float32 (no TF32 anywhere), tf32 or bfloat16 (autocast; weights, average, loss in float32).
        compile: whether the network goes through torch.compile.
        channels_last: whether pictures lie in memory with their channels last, as convolutions on GPUs like it.
        engine: with several processes: replicated (DDP, whole weights everywhere) or sharded (FSDP2, a share each).
        timeout: seconds after which a process that waits for another one gives up.
        threads: of the CPU; 0 takes those that the run began with, or the faster of one and all, measured at its start.
        checkpoints: with several processes: whole (whole tensors, put together by the main one) or shares (each writes what it holds).
        workers: processes that read and decode the data ahead; 0 reads in the training's own. Their number changes no bit.
    """

    precision: str = "float32"
    compile: bool = False
    channels_last: bool = False
    engine: str = "replicated"
    timeout: float = 600.0
    threads: int = 0
    workers: int = 0
    checkpoints: str = "whole"

    def __post_init__(self) -> None:
        """Raises ValueError for a precision, an engine or a kind of checkpoint of another name, or a number out of range."""
        for name, known in (("precision", PRECISIONS), ("engine", ENGINES), ("checkpoints", CHECKPOINTS)):
            _one_of(name, getattr(self, name), known)
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout is a positive number of seconds, got {self.timeout}; 600 is usual")
        if not isinstance(self.threads, int) or isinstance(self.threads, bool) or self.threads < 0:
            raise ValueError(f"threads is a whole number from 0, got {self.threads!r}; 0 lets a measurement choose")
        if not isinstance(self.workers, int) or isinstance(self.workers, bool) or self.workers < 0:
            raise ValueError(f"workers is a whole number from 0, got {self.workers!r}; 0 reads without other processes")


NOT_WEIGHT_DETERMINING = (
    "checkpoint_every",
    "log_every",
    "max_checkpoints",
    "max_consecutive_skips",
    "snapshot_every",
    "snapshot_lengths",
    "steps",
)
"""What may change when a run goes on. `steps` is the one of them that moves the weights: see `TrainSettings.steps`."""


@other_names(OTHER_NAMES, steps_of_epochs)
@dataclass(frozen=True)
class TrainSettings:
    """The numbers of one run. A step is one update of the parameters from `batch_size` samples.

    Attributes:
        steps: how many updates. A run that is asked for more goes on from its last checkpoint, from there on with the
            learning rates of the new total; metrics.jsonl then has a line that says so.
        batch_size: samples of one update, over all processes.
        gradient_accumulation: equal parts of a batch, computed one after another or shared out among processes, a
            multiple of their number. Each part draws its own noise: the number of parts decides the weights, that of
            processes not.
        learning_rate: the highest one; see `schedule`.
        warmup: the updates over which the learning rate rises.
        schedule: of the learning rate after that: constant, cosine (to zero at the last step) or inverse_sqrt.
        optimizer: adam, adamw or muon (for matrices, AdamW for the rest).
        betas: Adam's and AdamW's memories of the gradient and of its square.
        weight_decay: decoupled for adamw and muon, an L2 term of the loss for adam.
        max_grad_norm: the largest norm of the whole gradient; a longer one is shortened to it. math.inf lets all pass.
        ema_decay: how much of the averaged weights one update keeps, once warm; see `ema.EMA`.
        seed: keys the order of the data, the noise, the times and the dropout.
        checkpoint_every: updates between two checkpoints.
        max_checkpoints: how many checkpoints stay on disk.
        log_every: updates between two reports.
        max_consecutive_skips: how many updates in a row may be skipped for a loss or gradient that is not finite.
        snapshot_every: updates between two snapshots of power-function averages, from which an average of any length is
            made after training (see `post_hoc`), all of which stay on disk; 0 for none, which also saves their memory.
        snapshot_lengths: the relative lengths of these averages; see `power_profile`.
    """

    steps: int = 10_000
    batch_size: int = 256
    gradient_accumulation: int = 1
    learning_rate: float = 1e-3
    warmup: int = 100
    schedule: str = "cosine"
    optimizer: str = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    ema_decay: float = 0.999
    seed: int = 0
    checkpoint_every: int = 1000
    max_checkpoints: int = 3
    log_every: int = 50
    max_consecutive_skips: int = 10
    snapshot_every: int = 0
    snapshot_lengths: tuple[float, ...] = (0.05, 0.10)

    def __post_init__(self):
        """Raises TypeError for what is no number, ValueError for one out of range."""
        for name in (
            "steps",
            "batch_size",
            "gradient_accumulation",
            "checkpoint_every",
            "max_checkpoints",
            "log_every",
        ):
            self._whole(name, 1, math.inf)
        self._whole("max_consecutive_skips", 1, math.inf)
        self._whole("warmup", 0, math.inf)
        self._whole("seed", 0, 2**64 - 1)
        self._whole("snapshot_every", 0, math.inf)
        object.__setattr__(self, "snapshot_lengths", _lengths(self.snapshot_lengths))
        object.__setattr__(self, "betas", _betas(self.betas))
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"gradient_accumulation is {self.gradient_accumulation}, which does not divide a batch of "
                f"{self.batch_size} evenly; take a divisor"
            )
        self._real("learning_rate", 0 < self.learning_rate < math.inf, "positive and finite")
        self._real("max_grad_norm", self.max_grad_norm > 0, "positive")
        self._real("weight_decay", 0 <= self.weight_decay < math.inf, "at least 0 and finite")
        self._real("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)")
        _one_of("optimizer", self.optimizer, OPTIMIZERS)
        _one_of("schedule", self.schedule, SCHEDULES)

    @property
    def tracked(self) -> tuple[float, ...]:
        """The lengths that are averaged while the run trains: none without snapshots."""
        return self.snapshot_lengths if self.snapshot_every else ()

    def weight_determining(self) -> dict[str, Any]:
        """What decides the weights and their averages; the rest only says when to report, to save and to give up."""
        known = {name: value for name, value in asdict(self).items() if name not in NOT_WEIGHT_DETERMINING}
        known["betas"] = list(self.betas)
        return known | ({"snapshot_lengths": list(self.tracked)} if self.tracked else {})

    def _whole(self, name: str, low: int, high: float) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} is a whole number, got {value!r}; write it without a point")
        if not low <= value <= high:
            above = "" if high == math.inf else f" and at most {high}"
            raise ValueError(f"{name} is at least {low}{above}, got {value}; correct it")

    def _real(self, name: str, fine: bool, expected: str) -> None:
        if not fine:
            raise ValueError(f"{name} is {expected}, got {getattr(self, name)}; correct it")


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, got {value!r}; correct it")


def _lengths(given: object) -> tuple[float, ...]:
    """Distinct lengths, in rising order."""
    if not isinstance(given, (list, tuple)) or not all(type(length) in (int, float) for length in given):
        raise TypeError(f"snapshot_lengths is a list of numbers, got {given!r}; [0.05, 0.1] is usual")
    if not given or len(set(given)) < len(given) or not all(0 < length <= LONGEST for length in given):
        raise ValueError(f"snapshot_lengths is one or more different numbers in (0, 0.28867], got {given}; correct it")
    return tuple(sorted(map(float, given)))


def _betas(given: object) -> tuple[float, float]:
    if not isinstance(given, (list, tuple)) or len(given) != 2 or not all(type(beta) in (int, float) for beta in given):
        raise TypeError(f"betas is a pair of numbers, got {given!r}; [0.9, 0.999] is usual")
    if not all(0 <= beta < 1 for beta in given):
        raise ValueError(f"betas is a pair of numbers in [0, 1), got {given}; correct it")
    return float(given[0]), float(given[1])
