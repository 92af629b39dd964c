"""What a whole run of `conftest.py` leaves in its folder."""

from __future__ import annotations

from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.training import load
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from tests.training.conftest import STEPS


def contents(folder):
    """The last checkpoint and the reports, less the speed."""
    last = load(checkpoints(folder / "checkpoints")[STEPS])
    reports = metrics_file.read(folder / "metrics.jsonl")
    return vars(last) | {"reports": [{**report, "images_per_second": 0} for report in reports]}
