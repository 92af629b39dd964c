"""One vector for each sample that says how noisy it is and, for a conditional network, what is known of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sde_diffusion.networks.features import level_features, per_sample

LEVEL_FEATURES = 64


class Conditioning(nn.Module):
    """(c_time, label, context) -> (B, width). Label -1, or no label at all, stands for "any class" and has a vector of its own.

    `context` is how many numbers say under which condition a sample is drawn, see `conditions.ConditionColumns`: zeros, and
    none, stand for no condition. `augment` is how many numbers say how a sample was changed, see `data.augmentation`; zeros,
    and none, stand for unchanged. Leaving labels and contexts out during training, as classifier-free guidance asks, is the
    training loop's affair.
    """

    context: nn.Sequential | None

    def __init__(self, width: int, classes: int | None = None, augment: int = 0, context: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.level = _perceptron(LEVEL_FEATURES, width)
        self.label = None if classes is None else nn.Embedding(classes + 1, width)
        self.augment = nn.Linear(augment, width, bias=False) if augment else None
        self.register_module("context", _perceptron(context, width) if context else None)  # none is no argument

    def forward(
        self,
        c_time: Tensor | float,
        x: Tensor,
        label: Tensor | int | None = None,
        changes: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """The vectors (B, width) for x (B, *E); c_time is () or (B,), label None or integers of shape () or (B,).

        `changes` is None or (B, augment), `context` None or (B, context).
        """
        vector = self.level(level_features(per_sample(c_time, x), LEVEL_FEATURES).to(x))
        if self.context is not None or context is not None:
            vector = vector + self._of_context(context, vector)
        if changes is not None:
            vector = vector + self._of_changes(changes)
        if self.label is None:
            return _refuse(label, vector)
        return vector + self.label(_rows(label, x, self.label.num_embeddings - 1))

    def _of_context(self, context: Tensor | None, vector: Tensor) -> Tensor:
        if self.context is None:
            raise ValueError("this network was built without a context but got one; build it with context=K or drop it")
        wanted = (len(vector), self.context[0].in_features)
        if context is not None and tuple(context.shape) != wanted:
            raise ValueError(f"this network takes context of shape {wanted}, got {tuple(context.shape)}; give it so")
        return self.context(vector.new_zeros(wanted) if context is None else context.to(vector))  # pyright: ignore

    def _of_changes(self, changes: Tensor) -> Tensor:
        if self.augment is None or changes.shape[1:] != (self.augment.in_features,):
            known = "none" if self.augment is None else f"(B, {self.augment.in_features})"
            raise ValueError(
                f"this network takes augment_labels {known}, got {tuple(changes.shape)}; build it with augment=K"
            )
        return self.augment(changes)


def _perceptron(size: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, width), nn.SiLU(), nn.Linear(width, width))


def _refuse(label: Tensor | int | None, vector: Tensor) -> Tensor:
    """The vector, unless labels were given to a network without classes."""
    if label is not None:
        raise ValueError("this network was built without classes but got labels; build it with classes=K or drop them")
    return vector


def _rows(label: Tensor | int | None, x: Tensor, classes: int) -> Tensor:
    """The row of the embedding for each sample, int64 (B,): the label, or the last row for -1 and None."""
    if label is None or isinstance(label, int):
        label = torch.full((), -1 if label is None else label, device=x.device)  # no copy from the host
    rows = torch.as_tensor(label, device=x.device)
    if rows.is_floating_point() or rows.shape not in ((), (x.shape[0],)):
        raise ValueError(
            f"labels are integers of shape () or ({x.shape[0]},), got {rows.dtype} of shape {tuple(rows.shape)}"
        )
    check_range(rows, classes)
    return torch.where(rows < 0, classes, rows).long().expand(x.shape[0])


def check_range(rows: Tensor, classes: int) -> None:
    """Refuse labels beyond -1 .. classes - 1 where looking is free; on an accelerator the look-up itself fails."""
    if torch.compiler.is_compiling() or rows.device.type != "cpu":
        return
    if rows.numel() and not -1 <= int(rows.min()) <= int(rows.max()) < classes:
        raise ValueError(
            f"labels lie in 0 .. {classes - 1}, or -1 for none, got {int(rows.min())} to {int(rows.max())}"
        )
