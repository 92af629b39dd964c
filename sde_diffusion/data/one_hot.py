"""Classes as vectors: one number for each class, which is 1 for a sample's own; zeros stand for no class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class OneHot:
    """Names of classes -> vectors (N, size), float64. `names` are those of all classes, in their order."""

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for fewer than two names, or one that comes twice."""
        if len(self.names) < 2 or len(set(self.names)) < len(self.names):
            raise ValueError(
                f"a condition has at least two classes, each with its own name, got {', '.join(self.names) or 'none'}"
            )

    @property
    def size(self) -> int:
        """How many classes there are."""
        return len(self.names)

    def columns(self, name: str) -> tuple[str, ...]:
        """What the numbers of a condition of this name are called."""
        return tuple(f"{name}={one}" for one in self.names)

    def __call__(self, values: Sequence[Any]) -> Tensor:
        """The vectors. Raises ValueError for a class that there is none of."""
        return torch.eye(self.size, dtype=torch.float64)[[self.number(value) for value in values]]

    def number(self, value: Any) -> int:
        """The number of a class by its name."""
        if str(value) not in self.names:
            raise ValueError(f"no class is called {str(value)[:40]!r}; known: {', '.join(self.names[:20])}")
        return self.names.index(str(value))

    def as_dict(self) -> dict[str, list[str]]:
        """As plain data."""
        return {"names": list(self.names)}

    @classmethod
    def of_dict(cls, stored: Any) -> Self:
        """The inverse of `as_dict`. Raises ValueError for anything else."""
        names = stored.get("names") if isinstance(stored, dict) and set(stored) == {"names"} else None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"classes have names, got {str(stored)[:60]}")
        return cls(tuple(names))
