r"""An average of weights over the updates of a training run, by a rule for what each update keeps of it.

    average <- d_n average + (1 - d_n) weights,   n = 0, 1, ... the number of updates before                      (1)

After updates 0 .. n the weights of update i count for (1 - d_i) d_{i+1} ... d_n, and those of the start for d_0 ... d_n.
The rules are `warmed_up` and `profile.decay`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

Decay = Callable[[int], float]
"""n -> d_n in [0, 1), a number of the host: no update waits for the device."""


def warmed_up(decay: float, before: int) -> float:
    """min(decay, (1 + n)/(10 + n)) for n = `before`: the first averages are short; see `exponential`."""
    return min(decay, (1 + before) / (10 + before))


class Average:
    """The parameters of `source` averaged by a rule, in float32 at least: 16 bits are too coarse to be averaged.

    `count` is the number of updates so far. The source's parameters stay the objects that they are now, for they are
    listed once; they may be shares (DTensor), which makes shares of the averages.
    """

    def __init__(self, decay: Decay, source: nn.Module, into: nn.Module | None = None) -> None:
        """`into`: a copy of the source whose parameters become the averages, and whose buffers follow the source's.

        Copies of the parameters alone when left out.
        """
        self.decay, self.count = decay, 0
        self._copy = into
        self.track(source, None if into is None else into.parameters())

    def track(self, source: nn.Module, into: Iterable[Tensor] | None = None) -> None:
        """Average `source` from here on, a copy in shares of the first one; `count` stays."""
        self._weights = list(source.parameters())
        self._averages = [as_float32(weight) for weight in self._weights] if into is None else list(into)
        place = {id(weight): average for weight, average in zip(self._weights, self._averages, strict=True)}
        named = source.named_parameters(remove_duplicate=False)
        self._named = {name: place[id(weight)] for name, weight in named}
        self._source, self._has_buffers = source, self._copy is not None and any(True for _ in source.buffers())

    def state_dict(self) -> dict[str, Tensor]:
        """The averages themselves, by all the names of the parameters, in shares where the source is."""
        return {name: average.detach() for name, average in self._named.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Equation (1), one fused operation for all the weights, and a copy of the buffers."""
        weights = [w.to(a.dtype) for w, a in zip(self._weights, self._averages, strict=True)]
        torch._foreach_lerp_(self._averages, weights, 1 - self.decay(self.count))  # pyright: ignore
        self.count += 1
        if self._has_buffers and self._copy is not None:
            for buffer, source in zip(self._copy.buffers(), self._source.buffers(), strict=True):
                buffer.copy_(source)


def as_float32(weight: Tensor) -> Tensor:
    """A copy in float32, or in what is finer."""
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32), copy=True)
