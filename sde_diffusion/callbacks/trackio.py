"""The reports, the numbers and the pictures of a run for Trackio, an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sde_diffusion.callbacks.tracker import Tracker, fresh, missing


class Trackio(Tracker):
    """Sends to Trackio's database on this machine; `trackio show` opens it."""

    service = "trackio"

    def imported(self) -> Any:
        """The package trackio."""
        try:
            import trackio
        except ImportError as error:
            raise missing("trackio") from error
        return trackio

    def begin(self, config: dict[str, Any]) -> Any:
        """A run of this name, whether it was there or not: Trackio knows a run by its name alone."""
        name = self.identity(f"{self.folder.name}-{fresh()[:6]}")
        return self.package.init(project=self.project, name=name, config=config, resume="allow", embed=False)

    def send(self, numbers: dict[str, float], pictures: dict[str, Path], step: int) -> None:
        """One call for the step."""
        shown = {name: self.package.Image(str(path)) for name, path in pictures.items()}
        self.run.log({**numbers, **shown}, step=step)  # pyright: ignore[reportOptionalMemberAccess]

    def end(self) -> None:
        """Write what is left."""
        self.run.finish()  # pyright: ignore[reportOptionalMemberAccess]
