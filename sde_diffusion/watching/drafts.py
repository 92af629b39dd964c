"""Pictures that are there in full or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sde_diffusion.training.files import ASIDE


@contextmanager
def drafted(path: Path, run: Path) -> Iterator[Path]:
    """Lends a path of the same name in a temporary folder, and moves what was written there into place.

    That folder lies in the run's own, where what a killed process leaves of it is swept when the run goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=run, ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / path.name
        yield draft
        os.replace(draft, path)
