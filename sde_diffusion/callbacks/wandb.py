"""The reports, the numbers and the pictures of a run for Weights & Biases, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sde_diffusion.callbacks.tracker import Tracker, fresh, missing


class Wandb(Tracker):
    """Sends to Weights & Biases; with WANDB_MODE=offline into FOLDER/wandb alone, to be sent by `wandb sync`."""

    service = "wandb"

    def imported(self) -> Any:
        """The package wandb."""
        try:
            import wandb
        except ImportError as error:
            raise missing("wandb") from error
        return wandb

    def begin(self, config: dict[str, Any]) -> Any:
        """A run of this id, whether it was there or not."""
        named = {"project": self.project, "name": self.folder.name, "id": self.identity(fresh())}
        return self.package.init(**named, config=config, dir=str(self.folder), resume="allow")

    def send(self, numbers: dict[str, float], pictures: dict[str, Path], step: int) -> None:
        """One call for the step: wandb takes each step once."""
        shown = {name: self.package.Image(str(path)) for name, path in pictures.items()}
        self.run.log({**numbers, **shown}, step=step)  # pyright: ignore[reportOptionalMemberAccess]

    def end(self) -> None:
        """Write what is left."""
        self.run.finish()  # pyright: ignore[reportOptionalMemberAccess]
