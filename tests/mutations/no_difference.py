"""Random changes of the core that survive because they make no difference to any result, each with the reason."""

from __future__ import annotations

REASONS: dict[str, str] = {
    "solvers/methods/exponential_adams.py: 4 -> 5": (
        "EXAMPLES are the methods that tests try, and no result depends on them; five terms keep their order with that starter too"
    ),
}
"""`file: old -> new`, as `random_faults` says it without the line, and why no test can notice it."""
