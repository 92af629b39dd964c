"""The bar on a terminal: how far, how fast, how long still; the loss, and the held-out loss once it is known."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from sde_diffusion.training.observing import report_before
from sde_diffusion.training.progress import Progress
from sde_diffusion.training.settings import TrainSettings

HELD_OUT = "held_out_loss"


class Bar:
    """A bar over the steps of a run, on the standard error; silent off a terminal, and where `speaks` is False.

    A resumed run begins where it was, so that the time left is that of the steps of today.
    """

    def __init__(self, settings: TrainSettings, speaks: bool = True) -> None:
        self.settings, self.held_out = settings, ""
        shape = {"disable": None if speaks else True, **screen()}
        self.bar = tqdm(total=settings.steps, unit="step", **shape)  # pyright: ignore
        self.begun = False

    def show(self, progress: Progress, numbers: Mapping[str, float]) -> None:
        """A report, and what observers found with it."""
        if not self.begun:
            self._begin(report_before(progress.step, self.settings.log_every))
        if HELD_OUT in numbers:
            self.held_out = f", held out={numbers[HELD_OUT]:.4g}"
        pace = tqdm.format_sizeof(progress.images_per_second)
        self.bar.set_postfix_str(f"loss={progress.loss:.4g}{self.held_out}, {pace} images/s", refresh=False)
        self.bar.update(progress.step - self.bar.n)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.close()

    def _begin(self, step: int) -> None:
        self.begun = True
        self.bar.initial = self.bar.n = self.bar.last_print_n = step


def screen() -> dict[str, Any]:
    """tqdm's options: follow the terminal's width, or take a usual one where it says that it has none.

    So do terminals in some containers, and tqdm would draw nothing there.
    """
    try:
        known = all(os.get_terminal_size(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):
        known = True
    return {"dynamic_ncols": True} if known else {"ncols": 100, "nrows": 20}
