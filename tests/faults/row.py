"""A row of docs/faults.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table; `tests` are beginnings of pytest's names, with their parameters where these matter.

    Those with the parameter "some" make every day a part of the attempts that "all" makes, and do not count.
    """

    injected: str
    expected: str
    attempts: int
    tests: tuple[str, ...]
