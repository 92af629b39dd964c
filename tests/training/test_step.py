"""A step is read in one file, and passes through few others."""

from __future__ import annotations

import sys
from pathlib import Path

import sde_diffusion.training
from sde_diffusion.training.step import TrainStep

HOME = Path(sde_diffusion.training.__file__).parent


def test_a_step_passes_through_at_most_five_files_of_training(run, monkeypatch):
    """All that is executed from the loop's call to its return, the loop itself among them."""
    files: set[str] = set()

    def watch(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(HOME):
            files.add(str(path.relative_to(HOME)))

    usual = TrainStep.__call__

    def watched(step, generators):
        sys.setprofile(watch)
        try:
            usual(step, generators)
        finally:
            sys.setprofile(None)

    monkeypatch.setattr(TrainStep, "__call__", watched)
    run(steps=3).go()
    assert "step.py" in files
    assert len(files | {"loop.py"}) <= 5, sorted(files)
