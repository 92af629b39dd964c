"""The folder of a command's results: claimed while the command works, and left as it was when the command is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sde_diffusion.cli.folders import MADE, claim_output_folder
from sde_diffusion.io.atomic import missing_folders, remove_empty


@contextmanager
def results_folder(folder: Path, command: str, settings: dict[str, Any]) -> Iterator[Path]:
    """Yields the folder with `made.json` in it (see `claim_output_folder`).

    Where the block fails before it has written a result, `made.json` and the folder are removed again if they are new, so
    that the corrected command is not refused. Raises ValueError for a folder with results of another command.
    """
    missing = missing_folders(folder)
    new = not (folder / MADE).exists()
    try:
        claim_output_folder(folder, command, settings)
        yield folder
    except BaseException:
        if new and folder.is_dir() and {path.name for path in folder.iterdir()} <= {MADE}:
            (folder / MADE).unlink(missing_ok=True)
            remove_empty(missing)
        raise
