"""What counts as bad input, and its one sentence."""

from __future__ import annotations

from sde_diffusion.training.lock import FolderInUse

REFUSALS = (ValueError, TypeError, OSError, FloatingPointError, FolderInUse)
"""The errors that say what is wrong with the input: their message is all that a user needs to see."""


def sentence(error: Exception) -> str:
    """The message of an error on one line; an operating system's error with its file."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    return " ".join(str(error).split())
