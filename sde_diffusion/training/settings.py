"""What a training run is asked to do, and how: plain numbers, no torch.

How the machines compute a step. None of it changes what is computed, only speed, memory and the last bits.

What a training run is asked to do: plain numbers, no torch.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from sde_diffusion.training.ema.profile import LONGEST

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
ENGINES = ("replicated", "sharded")


@dataclass(frozen=True)
class ComputeSettings:
    """How a step is computed.

    Attributes:
        precision: float32 (no TF32 anywhere), tf32, bfloat16 or float16 (autocast; weights, average, loss in float32).
        compile: whether the network goes through torch.compile.
        channels_last: whether pictures lie in memory with their channels last, as convolutions on GPUs like it.
        engine: with several processes: replicated (DDP, whole weights everywhere) or sharded (FSDP2, a share each).
        timeout: seconds after which a process that waits for another one gives up.
    """

    precision: str = "float32"
    compile: bool = False
    channels_last: bool = False
    engine: str = "replicated"
    timeout: float = 600.0

    def __post_init__(self) -> None:
        """Raises ValueError for a precision or an engine that nobody knows, or a timeout that is not positive."""
        for name, known in (("precision", PRECISIONS), ("engine", ENGINES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is one of {', '.join(known)}, got {getattr(self, name)!r}; correct it")
        if not 0 < self.timeout < float("inf"):
            raise ValueError(f"timeout is a positive number of seconds, got {self.timeout}; 600 is usual")


_HARMLESS = ("checkpoint_every", "keep", "log_every", "patience", "snapshot_every", "snapshot_lengths")


@dataclass(frozen=True)
class TrainSettings:
    """The numbers of one run. A step is one update of the parameters from `batch_size` events.

    Attributes:
        steps: how many updates.
        batch_size: events of one update, over all processes.
        microbatches: equal parts of a batch, computed one after another or shared out among processes, a multiple of
            their number. Each part draws its own noise: the number of parts decides the weights, that of processes not.
        learning_rate: Adam's, at its highest; see `schedule.rate` for its rise and its fall to zero.
        warmup: the updates over which it rises.
        clip: the largest norm of the whole gradient; a longer one is shortened to it. math.inf lets all pass.
        ema_decay: how much of the averaged weights one update keeps, once warm; see `ema.EMA`.
        seed: keys the order of the data, the noise, the times and the dropout.
        checkpoint_every: updates between two checkpoints.
        keep: how many checkpoints stay on disk.
        log_every: updates between two reports.
        patience: how many updates in a row may be skipped for a loss or gradient that is not finite.
        snapshot_every: updates between two snapshots of power-function averages, from which an average of any length is
            made after training (see `post_hoc`), all of which stay on disk; 0 for none, which also saves their memory.
        snapshot_lengths: the relative lengths of these averages; see `power_profile`.
    """

    steps: int = 10_000
    batch_size: int = 256
    microbatches: int = 1
    learning_rate: float = 1e-3
    warmup: int = 100
    clip: float = 1.0
    ema_decay: float = 0.999
    seed: int = 0
    checkpoint_every: int = 1000
    keep: int = 3
    log_every: int = 50
    patience: int = 10
    snapshot_every: int = 0
    snapshot_lengths: tuple[float, ...] = (0.05, 0.10)

    def __post_init__(self):
        """Raises TypeError for what is no number, ValueError for one out of range."""
        for name in ("steps", "batch_size", "microbatches", "checkpoint_every", "keep", "log_every", "patience"):
            self._whole(name, 1, math.inf)
        self._whole("warmup", 0, math.inf)
        self._whole("seed", 0, 2**64 - 1)
        self._whole("snapshot_every", 0, math.inf)
        object.__setattr__(self, "snapshot_lengths", _lengths(self.snapshot_lengths))
        if self.batch_size % self.microbatches:
            raise ValueError(
                f"{self.microbatches} microbatches do not divide a batch of {self.batch_size} evenly; take a divisor"
            )
        self._real("learning_rate", 0 < self.learning_rate < math.inf, "positive and finite")
        self._real("clip", self.clip > 0, "positive")
        self._real("ema_decay", 0 <= self.ema_decay < 1, "in [0, 1)")

    @property
    def tracked(self) -> tuple[float, ...]:
        """The lengths that are averaged while the run trains: none without snapshots."""
        return self.snapshot_lengths if self.snapshot_every else ()

    def weight_determining(self) -> dict[str, float | list[float]]:
        """What decides the weights and their averages; the rest only says when to report, to save and to give up."""
        decide = {name: value for name, value in asdict(self).items() if name not in _HARMLESS}
        return decide | ({"snapshot_lengths": list(self.tracked)} if self.tracked else {})

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


def _lengths(given: object) -> tuple[float, ...]:
    """Distinct lengths, in rising order."""
    if not isinstance(given, (list, tuple)) or not all(type(length) in (int, float) for length in given):
        raise TypeError(f"snapshot_lengths is a list of numbers, got {given!r}; [0.05, 0.1] is usual")
    if not given or len(set(given)) < len(given) or not all(0 < length <= LONGEST for length in given):
        raise ValueError(f"snapshot_lengths is one or more different numbers in (0, 0.28867], got {given}; correct it")
    return tuple(sorted(map(float, given)))
