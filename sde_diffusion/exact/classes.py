r"""A mixture of Gaussians whose modes have classes: the exact conditional model, its classifier, and the tilted laws.

With classes c(k) of the modes, p(c | x_t) is the sum of the responsibilities of its modes, p(x | c) the mixture of them, and

    tilted law of weight w:   q(x) ~ p(x | c) p(c | x)^(w - 1) ~ p(x | c)^w p(x)^(1 - w),                           (1)

which guidance with weight w is said to draw. It is drawn here by rejection: x ~ p(x | c) is kept with probability
p(c | x)^(w - 1), for w >= 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.kernel import Kernel


class MixtureOfClasses:
    """A mixture and the class 0 .. C - 1 of each of its modes.

    Raises ValueError unless there is a class for each mode and a mode for each class.
    """

    def __init__(self, law: Mixture, class_of_mode: Sequence[int]) -> None:
        found = torch.tensor(class_of_mode)
        count = int(found.max()) + 1 if len(found) else 0
        if len(found) != len(law.log_weights) or sorted(set(class_of_mode)) != list(range(count)):
            raise ValueError(
                f"there is a class 0 .. C - 1 for each of the {len(law.log_weights)} modes, got {list(class_of_mode)}"
            )
        self.law, self.class_of_mode, self.count = law, found, count
        self.laws = [self._given(label) for label in range(count)]

    def log_class(self, x_t: Tensor, kernel: Kernel, label: Tensor | int) -> Tensor:
        """log p(c | x_t), shape (B,), for one noise level; `label` is one class, or one for each sample."""
        joint = self.law.through(kernel).log_responsibilities(x_t)
        shares = torch.stack([joint[:, self.class_of_mode == c].logsumexp(1) for c in range(self.count)], 1)
        return shares.gather(1, torch.as_tensor(label).expand(len(x_t)).unsqueeze(1)).squeeze(1)

    def tilted(self, label: int, weight: float, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws of the law (1), shape (n, *E). Raises ValueError for a weight below 1."""
        if not weight >= 1:
            raise ValueError(f"rejection needs a weight of at least 1, got {weight:g}")
        kept = torch.empty(0, *self.law.event_shape, dtype=self.law.dtype)
        while len(kept) < n:
            x = self.laws[label].sample(n, generator)
            chance = ((weight - 1) * self.log_class(x, Kernel(1.0, 0.0), label)).exp()
            kept = torch.cat((kept, x[torch.rand(n, generator=generator, dtype=chance.dtype) < chance]))
        return kept[:n]

    def _given(self, label: int) -> Mixture:
        """p(x | c)."""
        chosen, tensors = self.class_of_mode == label, self.law.tensors()
        weights = tensors["log_weights"][chosen]
        parts = {name: value[chosen] for name, value in tensors.items()}
        return self.law.with_tensors({**parts, "log_weights": weights - weights.logsumexp(0)})


class ClassDenoiser(Denoiser):
    """E[x_0 | x_t, class] of a mixture with classes: `label` is (), (B,), an integer, or None; -1 and None are any class."""

    def __init__(self, classes: MixtureOfClasses) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x_t: Tensor, kernel: Kernel, label: Tensor | int | None = None) -> Tensor:
        """The conditional mean, shape (B, *E)."""
        labels = torch.as_tensor(-1 if label is None else label).expand(len(x_t))
        out = torch.empty_like(x_t)
        for one in labels.unique().tolist():
            rows, law = labels == one, self.classes.law if one < 0 else self.classes.laws[one]
            out[rows] = law.denoise(x_t[rows], _rows_of(kernel, rows))
        return out


def _rows_of(kernel: Kernel, rows: Tensor) -> Kernel:
    alpha, sigma = (
        level[rows] if isinstance(level, Tensor) and level.ndim else level for level in (kernel.alpha, kernel.sigma)
    )
    return Kernel(alpha, sigma)
