"""What the services that keep runs have in common: one of our runs is one of theirs, also when it goes on."""

from __future__ import annotations

import os
import uuid
from abc import abstractmethod
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sde_diffusion.io.atomic import replace_file, to_json
from sde_diffusion.io.plain import read_json
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.run_folder import RunFolder
from sde_diffusion.training.triggers import Every

IDS = "trackers.json"
"""The run's names with the services, in its folder."""


class Tracker(Callback):
    """Sends the reports, and the numbers and pictures of the callbacks before it, to a service; to be given last.

    The service's package is imported when one is made, and its run begins at the first report. A run that goes on is the same
    one there: its name is kept in FOLDER/trackers.json. Where nothing can be reached, a warning says so and training goes on.
    """

    uses_model = False
    service: str

    def __init__(self, folder: str | os.PathLike, project: str = "sde_diffusion") -> None:
        """`project` is where the service lists the run, under the folder's name. Raises ImportError for a missing package."""
        self.trigger, self.folder, self.project = Every(1), Path(folder), project
        self.package, self.run = self.imported(), None

    @abstractmethod
    def imported(self) -> Any:
        """The service's package; ImportError, with the pip command, where it is missing."""

    @abstractmethod
    def begin(self, config: dict[str, Any]) -> Any:
        """The service's run of the name `identity()`, begun or gone on with; `config` is the run's configuration."""

    @abstractmethod
    def send(self, numbers: dict[str, float], pictures: dict[str, Path], step: int) -> None:
        """Hand over what was found at a step."""

    @abstractmethod
    def end(self) -> None:
        """Tell the service that the run has ended or was interrupted."""

    def on_report(self, context: CallbackContext) -> None:
        """The numbers by their names in metrics.jsonl, and the pictures."""
        if self.run is None:
            run = RunFolder(self.folder)
            self.run = self.begin(run.config() if run.config_file.is_file() else {})
        numbers = {**asdict(context.progress), **context.numbers}
        self.send(numbers, context.pictures, int(numbers.pop("step")))

    def close(self) -> None:
        """End the service's run."""
        if self.run is not None:
            self.end()
            self.run = None

    def identity(self, new: str | None = None) -> str | None:
        """The name of the run with the service, in the folder; `new` becomes it where there is none."""
        path = self.folder / IDS
        known = read_json(path) if path.is_file() else {}
        if self.service not in known and new is not None:
            known[self.service] = new
            replace_file(path, to_json(known))
        return known.get(self.service)


def fresh() -> str:
    """A name that no other run has."""
    return uuid.uuid4().hex[:16]


def missing(package: str) -> ImportError:
    """What is said where the package is missing."""
    return ImportError(
        f"the tracker {package} needs the package {package}; install it with `pip install 'sde-diffusion[{package}]'`"
    )
