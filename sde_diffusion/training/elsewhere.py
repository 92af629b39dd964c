"""The error of a process whose fellow failed. Nothing here needs torch."""

from __future__ import annotations


class Elsewhere(RuntimeError):
    """Another process of the run was refused, failed or was interrupted; its own message says why."""
