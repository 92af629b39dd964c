"""The likely cause of a fault: the usual mistakes are undone one at a time, and the check runs again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

Candidate = tuple[str, Callable[[], float]]
"""A mistake in words, and the error of the check when it is undone."""

MOST = 2


def likely(candidates: Iterable[Candidate], allowed: float) -> str:
    """The mistakes whose correction makes the check pass, the first two joined by "or"; "" where none does.

    The order of the candidates is that of plausibility: two that explain the same figures are both named.
    """
    found: list[str] = []
    for words, error in candidates:
        if _quiet(error) <= allowed:
            found.append(words)
        if len(found) == MOST:
            break
    return " or ".join(found)


def _quiet(error: Callable[[], float]) -> float:
    """The error of a corrected check; a correction that cannot even be evaluated explains nothing."""
    try:
        value = error()
    except (ArithmeticError, ValueError, RuntimeError):
        return math.inf
    return math.inf if math.isnan(value) else value


FACTORS: tuple[tuple[str, Callable], ...] = (
    ("is twice too large", lambda v: v / 2),
    ("is half of what it should be", lambda v: v * 2),
    ("is sqrt(2) times too large", lambda v: v / 2**0.5),
    ("is sqrt(2) times too small", lambda v: v * 2**0.5),
    ("is squared where it should not be (g^2 for g, a variance for a deviation)", lambda v: abs(v) ** 0.5),
    ("is a square root too many (a deviation for a variance)", lambda v: v**2),
    ("has the wrong sign", lambda v: -v),
)
"""What usually happens to a coefficient, with its correction."""
