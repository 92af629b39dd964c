"""What a stage is, and what it is asked to do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from benchmarks.gpu.record import Record


AGAIN = 75
"""The exit code of a stage's process that asks for another one, for the parts that were not begun."""


@dataclass(frozen=True)
class Stage:
    """A stage as the runner sees it: a process.

    Attributes:
        name: of its module and of its record.
        title: what it asks.
        seconds: its share of the budget, beside those of the others.
        program: what the interpreter runs; the arguments of a stage follow.
    """

    name: str
    title: str
    seconds: float
    program: tuple[str, ...] = ("-m", "benchmarks.gpu.child")

    def command(self, *arguments: str) -> list[str]:
        """Of its process."""
        return [sys.executable, *self.program, self.name, *arguments]


STAGES = (
    Stage("correctness", "Does it work?", 90),
    Stage("training", "Training: how fast?", 175),
    Stage("sampling", "Sampling: what is spent outside the network?", 75),
    Stage("quality", "Quality: how good are the pictures of a short training?", 95),
    Stage("tuning", "Tuning: error against calls", 45),
)
"""In the order of their worth, with seconds of a budget of 480."""


@dataclass(frozen=True)
class Job:
    """What the parts of a stage are asked.

    Attributes:
        device: where it runs.
        quick: whether everything is tiny.
        folder: of the records; a stage may leave files for later ones.
        until: the end of its time, of `time.time`.
        data: the folder of Fashion-MNIST, where one was given.
    """

    device: torch.device
    quick: bool
    folder: Path
    until: float
    data: str = ""

    def left(self) -> float:
        """Seconds."""
        return self.until - time.time()

    @property
    def gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def scaled(self, tiny: Any, full: Any) -> Any:
        """The first for a quick run, else the second."""
        return tiny if self.quick else full


@dataclass(frozen=True)
class Part:
    """One measurement of a stage, which needs no other one of the same process.

    Attributes:
        name: what it measures.
        run: (job, record), which enters what it finds.
        needs: seconds without which it is not begun, on a GPU in full size.
        limit: seconds after which its process is ended, and the next part begins in another one.
    """

    name: str
    run: Callable[[Job, Record], None]
    needs: float = 5.0
    limit: float = 60.0
