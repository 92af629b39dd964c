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
    """An averaged copy of a model, `.model`, in eval mode; buffers are copied, not averaged.

    `count` is the number of updates so far. The copy lives on the model's devices and in its dtypes: weights of less
    than 32 bits are too coarse to be averaged.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        """Raises ValueError unless 0 <= decay < 1."""
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of an average lies in [0, 1), got {decay}; 0.999 is usual")
        self.decay, self.count = decay, 0
        self.model = copy.deepcopy(model).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Equation (1), one fused operation for all the weights."""
        mine: list[Tensor] = list(self.model.parameters())
        theirs: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - self._kept())  # pyright: ignore[reportPrivateImportUsage]
        for buffer, source in zip(self.model.buffers(), model.buffers(), strict=True):
            buffer.copy_(source)
        self.count += 1

    def load(self, weights: dict[str, Tensor], count: int) -> None:
        """Take up an average where it was left after `count` updates; `weights` is a state dict of the model."""
        self.model.load_state_dict(weights)
        self.count = count

    def _kept(self) -> float:
        return min(self.decay, (1 + self.count) / (10 + self.count))
