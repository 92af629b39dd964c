"""What the tests of networks share with those of training."""

from __future__ import annotations

from tests.training.conftest import is_sentence

__all__ = ["is_sentence"]
