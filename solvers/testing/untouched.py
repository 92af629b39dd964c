"""Whether a call leaves its tensors as they were: what is given to a method, a network or a sampler belongs to the caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from solvers.testing.report import Finding, verdict

CAUSE = (
    "an operation in place (add_, mul_, clamp_, +=, x[...] =) on a tensor that belongs to the caller: work on a new one"
)


def written(call: Callable[[], Any], *tensors: Tensor) -> bool:
    """Whether a call changes one of the tensors."""
    before = [tensor.clone() for tensor in tensors]
    call()
    return not all(torch.equal(old, new) for old, new in zip(before, tensors, strict=True))


def untouched(name: str, found: dict[str, bool]) -> Finding:
    """The finding on what was written into, by the words for each of the inputs."""
    wrong = [words for words, changed in found.items() if changed]
    return verdict(
        name, float(len(wrong)), 0.0, example="; ".join(wrong), cause=CAUSE, read="solvers/testing/untouched.py"
    )
