"""How much a sampler may spend: a number of steps, a number of denoiser calls, or a tolerance. Exactly one of them."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 10**7
"""The largest number of steps or calls."""


@dataclass(frozen=True)
class Steps:
    """A number of steps."""

    count: int

    def __post_init__(self) -> None:
        _check_count("steps", self.count)

    def __str__(self) -> str:
        return str(self.count)


@dataclass(frozen=True)
class Calls:
    """A number of denoiser calls for each sample (NFE), the call of a last denoising step included."""

    count: int

    def __post_init__(self) -> None:
        _check_count("nfe", self.count)

    def __str__(self) -> str:
        return f"nfe={self.count}"


@dataclass(frozen=True)
class Tol:
    """A tolerance: every sample takes steps of its own, each with an error below tol (1 + |x|)."""

    value: float

    def __post_init__(self) -> None:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not 0 < self.value <= 0.1:
            raise ValueError(f"tol is a number above 0 and at most 0.1, got {self.value!r}; write 1e-4")

    def __str__(self) -> str:
        return f"tol={self.value:g}"


Budget = Steps | Calls | Tol


def budget(steps: int | None = None, nfe: int | None = None, tol: float | None = None) -> Budget | None:
    """The one that is given, None for none. Raises ValueError for several or for one out of range."""
    given = {"steps": steps, "nfe": nfe, "tol": tol}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(f"give one of steps, nfe and tol, got {' and '.join(names)}; leave {names[-1]} out")
    if not names:
        return None
    return {"steps": Steps, "nfe": Calls, "tol": Tol}[names[0]](given[names[0]])


def _check_count(name: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise ValueError(f"{name} is a whole number from 1 to {MOST}, got {count!r}; write {name}=20")
