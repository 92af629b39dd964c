"""What part of a training step the network's own forward and backward passes take, measured from within the step.

The network's part is the time of its call, and that from the gradient of the call's answer to the moment at which the
last parameter has its gradient. On an accelerator the marks are events on its stream, read at the end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Step:
    """The marks of a step: its start, the end of the forward pass, the start and the end of the backward pass."""

    start: Any
    forward: Any = None
    gradient: Any = None
    last: Any = None


@dataclass
class Stopwatch:
    """Times one network, in any training loop."""

    device: torch.device
    steps: list[Step] = field(default_factory=list)

    def watch(self, network: nn.Module) -> None:
        """Put marks around its passes."""
        network.register_forward_pre_hook(lambda *_: self.steps.append(Step(self._mark())))
        network.register_forward_hook(lambda _module, _inputs, answer: self._answered(answer))
        for parameter in network.parameters():
            parameter.register_post_accumulate_grad_hook(lambda _parameter: self._accumulated())

    def _answered(self, answer: Any) -> None:
        step = self.steps[-1]
        step.forward = self._mark()
        tensor = answer if isinstance(answer, Tensor) else answer.sample
        if tensor.requires_grad:
            tensor.register_hook(lambda _gradient: self._began(step))

    def _began(self, step: Step) -> None:
        step.gradient = self._mark()

    def _accumulated(self) -> None:
        self.steps[-1].last = self._mark()

    def _mark(self) -> Any:
        if self.device.type == "cpu":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def inside(self) -> list[float]:
        """The seconds of each step that are the network's."""
        if self.device.type != "cpu":
            torch.cuda.synchronize()
        return [between(s.start, s.forward) + between(s.gradient, s.last) for s in self.steps]


def between(first: Any, last: Any) -> float:
    """Seconds."""
    return last - first if isinstance(first, float) else first.elapsed_time(last) / 1e3
