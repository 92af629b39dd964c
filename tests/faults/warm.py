"""What the server of the children imports and does once, so that no child does it again: see `apart`."""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

from sde_diffusion.cli.main import main
from sde_diffusion.training import latest, load
from tests.cli.conftest import TINY
from tests.faults import bodies

with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    bodies.Run(Path(folder) / "run").go(reports=1)
    load(latest(Path(folder) / "run/checkpoints"))
    assert main(["train", *TINY, "--training.steps", "1", "--output", f"{folder}/command"]) == 0
