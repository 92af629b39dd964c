"""The average of the weights that is best by a number of the reports, such as the held-out loss, kept in FOLDER/best.

A network that is trained for long on few samples learns them by heart, and its held-out loss rises again: the newest
average is then not the best one. `DiffusionModel.load(folder, checkpoint="best")` reads this one.
"""

from __future__ import annotations

import os
from pathlib import Path

from torch import nn

from sde_diffusion.sharing.pretrained import RECORD, digest, read_description
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.checkpoints import best, manifest
from sde_diffusion.training.run_folder import RunFolder
from sde_diffusion.training.triggers import Trigger


class KeepBest(Callback):
    """Keeps the average of the smallest `by` among the reports up to now; to be given after the callback that finds it.

    Kill and resume end on the same bits as a whole run. A report without the number, or with one that is not finite, is
    passed over.
    """

    def __init__(
        self, trigger: Trigger, folder: str | os.PathLike, by: str = "held_out_loss", meaning: str = ""
    ) -> None:
        """`trigger` is that of the callback that finds `by`; `meaning` says how it is measured, in words."""
        self.trigger, self.run, self.by, self.meaning = trigger, RunFolder(Path(folder)), by, meaning

    def on_report(self, context: CallbackContext) -> None:
        """Compare, keep, and remove what is best no more."""
        if self.by not in context.numbers:
            return
        new = self._described(context)
        if best.better(self.run.best, new):
            best.save(self.run.best, new, _weights(context.model))
        steps = (*manifest.places(self.run.checkpoints), *manifest.places(self.run.shares))
        best.prune(self.run.best, new, steps)

    def _described(self, context: CallbackContext) -> best.Best:
        record, step = self.run.path / RECORD, context.step
        model = digest(read_description(record)) if record.is_file() else None
        settings = self.run.config().get("training", {}) if self.run.config_file.is_file() else {}
        trained = context.progress.skipped < step
        return best.Best(step, self.by, self.meaning, context.numbers[self.by], model, settings, trained)


def _weights(model: nn.Module) -> dict:
    return {name: value.detach().cpu() for name, value in model.state_dict().items()}
