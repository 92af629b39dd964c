"""The small run of the training tests, shared."""

from __future__ import annotations

import pytest

from sde_diffusion.training import CallbackContext, Progress
from tests.training.conftest import is_sentence, run, same

__all__ = ["is_sentence", "run", "same"]


@pytest.fixture
def look():
    """`look(model, step=..., last=...)`: what an observer is shown."""

    def shown(model, step=100, last=False):
        return CallbackContext(Progress(step, 0.5, 1.0, 1e-3, 100.0, 0), model, last)

    return shown
