"""The reports, the numbers and the pictures of a run for TensorBoard, an extra."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sde_diffusion.report.animation.montage import read_pixels
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Every


class TensorBoard(Callback):
    """Writes events to FOLDER/tensorboard at every report; to be given last, since it shows what the others have found.

    A run that goes on has TensorBoard purge what its earlier part wrote at the step of its first report or later,
    so that no step is there twice or out of order. Show it with `tensorboard --logdir FOLDER`.

    Raises ImportError where the package tensorboard is missing.
    """

    uses_model = False

    def __init__(self, folder: str | os.PathLike) -> None:
        self.trigger, self.folder = Every(1), Path(folder) / "tensorboard"
        self.kind, self.writer = _package(), None

    def on_report(self, context: CallbackContext) -> None:
        """Scalars by their names in metrics.jsonl, pictures as images."""
        if self.writer is None:
            self.writer = self.kind(str(self.folder), purge_step=context.step, flush_secs=10)
        scalars = {**asdict(context.progress), **context.numbers}
        step = scalars.pop("step")
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, step)
        for name, path in context.pictures.items():
            self.writer.add_image(name, read_pixels(path), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def _package() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard needs the package tensorboard; install it with `pip install 'sde-diffusion[tensorboard]'`"
        ) from error
    return SummaryWriter
