r"""The exponential moving average of the weights.

    average <- d_n average + (1 - d_n) weights,   d_n = min(decay, (1 + n)/(10 + n)),   n = 0, 1, ...            (1)

n counts the updates before this one: the first averages are short, so that the random start is soon forgotten. After
updates 0 .. n the weights of update i count for (1 - d_i) d_{i+1} ... d_n, and those of the start for d_0 ... d_n.

References:
    Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, https://doi.org/10.1137/0330046
    TensorFlow, tf.train.ExponentialMovingAverage, https://www.tensorflow.org/api_docs/python/tf/train (the warm-up)
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class EMA:
    """An averaged copy of the weights of `source`, `.model`, in eval mode; buffers are copied, not averaged.

    `count` is the number of updates so far. Both models may be moved with `.to`, together; the source's parameters stay
    the objects that they are now, for they are listed once. The copy has their dtypes: 16 bits are too coarse to be
    averaged.
    """

    def __init__(self, source: nn.Module, decay: float = 0.999) -> None:
        """Raises ValueError unless 0 <= decay < 1."""
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of an average lies in [0, 1), got {decay}; 0.999 is usual")
        self.decay, self.count, self.source = decay, 0, source
        self.model = copy.deepcopy(source).eval()
        self._averages: list[Tensor] = list(self.model.parameters())
        self._weights: list[Tensor] = list(source.parameters())
        self._has_buffers = any(True for _ in source.buffers())

    def follow(self, source: nn.Module) -> None:
        """Average `source` instead, a copy in shares of the first one; `model` then changes by `load_state_dict` only."""
        self.source = source
        self._weights = [*source.parameters()]
        self._averages = [weight.detach().clone() for weight in self._weights]

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the names of `model.state_dict()`, in shares where the source is."""
        names = [name for name, _ in self.model.named_parameters()]
        return self.model.state_dict() | dict(zip(names, (a.detach() for a in self._averages), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Equation (1), one fused operation for all the weights."""
        torch._foreach_lerp_(self._averages, self._weights, 1 - self._kept())  # pyright: ignore
        if self._has_buffers:
            for buffer, source in zip(self.model.buffers(), self.source.buffers(), strict=True):
                buffer.copy_(source)
        self.count += 1

    def _kept(self) -> float:
        return min(self.decay, (1 + self.count) / (10 + self.count))
