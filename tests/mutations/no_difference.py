"""Random changes of the core that survive because they make no difference to any result, each with the reason."""

from __future__ import annotations

REASONS: dict[str, str] = {}
"""`file: old -> new`, as `random_faults` says it without the line, and why no test can notice it."""
