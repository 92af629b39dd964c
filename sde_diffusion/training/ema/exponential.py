r"""The exponential moving average of the weights.

    average <- d_n average + (1 - d_n) weights,   d_n = min(decay, (1 + n)/(10 + n)),   n = 0, 1, ...            (1)

n counts the updates before this one: the first averages are short, so that the random start is soon forgotten.

References:
    Polyak & Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992, https://doi.org/10.1137/0330046
    TensorFlow, tf.train.ExponentialMovingAverage, https://www.tensorflow.org/api_docs/python/tf/train (the warm-up)
"""

from __future__ import annotations

import copy
from functools import partial

from torch import Tensor, nn

from sde_diffusion.training.ema.average import Average, as_float32, warmed_up


class EMA:
    """An averaged copy of the weights of `source`, `.model`, in eval mode; buffers are copied, not averaged.

    Both models may be moved with `.to`, together. Weights of 16 bits are averaged, and kept, in float32.
    """

    def __init__(self, source: nn.Module, decay: float = 0.999) -> None:
        """Raises ValueError unless 0 <= decay < 1."""
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of an average lies in [0, 1), got {decay}; 0.999 is usual")
        self.decay, self.source = decay, source
        self.model = copy.deepcopy(source).eval()
        for parameter in self.model.parameters():
            parameter.data = as_float32(parameter)
        self.average = Average(partial(warmed_up, decay), source, self.model)

    @property
    def count(self) -> int:
        """The number of updates so far."""
        return self.average.count

    def track(self, source: nn.Module) -> None:
        """Average `source` instead, a copy in shares of the first one; `model`'s parameters then stay as they are.

        Buffers of `model` that have no numbers yet, on the meta device, become copies of the source's.
        """
        self.source = source
        self.average.track(source)
        for mine, theirs in zip(self.model.modules(), source.modules(), strict=True):
            for name, buffer in mine._buffers.items():
                if buffer is not None and buffer.is_meta:
                    mine._buffers[name] = theirs._buffers[name].clone()  # pyright: ignore

    def state_dict(self) -> dict[str, Tensor]:
        """The averages by the names of `model.state_dict()`, in shares where the source is."""
        return self.model.state_dict() | self.average.state_dict()

    def update(self) -> None:
        """Equation (1), and a copy of the buffers."""
        self.average.update()
