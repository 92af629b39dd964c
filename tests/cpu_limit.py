"""Limits of CPU seconds, as an idle core takes them."""

from __future__ import annotations

import os


def cpu_limit(seconds: float) -> float:
    """The limit for this process: two workers of pytest-xdist on the two threads of one core are each about half as fast."""
    return seconds if "PYTEST_XDIST_WORKER" not in os.environ else 2 * seconds
