"""What callbacks cost: the share of a run's time that each takes, by default and in all.

    python -m benchmarks.watching                the digits of `sde-diffusion demo`, 6000 steps, two minutes
    python -m benchmarks.watching --steps 1000 --every 100

Time is the process's own processor time, on one thread, within one run; the first import of the plotting library
counts as the callbacks' time. Prints a table.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import torch

from sde_diffusion.cli import factories
from sde_diffusion.cli.callback_settings import CallbackSettings, WatchedRun, callbacks_of
from sde_diffusion.cli.commands.demo import Settings
from sde_diffusion.cli.model import new_model
from sde_diffusion.report.table import Table
from sde_diffusion.training import Callback, CallbackContext


class Timed(Callback):
    """Another callback, with the seconds and calls that it has taken."""

    def __init__(self, inner: Callback) -> None:
        self.inner, self.trigger, self.uses_model = inner, inner.trigger, inner.uses_model
        self.seconds, self.looks = 0.0, 0

    def on_report(self, context: CallbackContext) -> None:
        begun = time.process_time()
        self.inner.on_report(context)
        self.seconds += time.process_time() - begun
        self.looks += 1

    def close(self) -> None:
        self.inner.close()


def run(steps: int, watch: CallbackSettings) -> tuple[list[Timed], float, float]:
    """The callbacks of a run of the demo, timed, the seconds that it took to make them, and those of all."""
    config = Settings()
    source = factories.data(config.part("data"))
    model, objective = new_model(config, source)
    settings = dataclasses.replace(config.training, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        scene = WatchedRun(Path(folder), model, objective, source, settings.seed)
        timed = [Timed(one) for one in callbacks_of(watch, scene)]
        setup = time.process_time() - begun
        model.fit(source, settings=settings, objective=objective, folder=folder, device="cpu", callbacks=timed)
        return timed, setup, time.process_time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--every", type=int, help="steps between two looks of each observer")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    every = (
        {} if asked.every is None else dict.fromkeys(("held_out_every", "levels_every", "pictures_every"), asked.every)
    )
    timed, setup, whole = run(asked.steps, CallbackSettings(**every, tensorboard=True))
    rows = [("making them", "", f"{setup:.2f}", f"{100 * setup / whole:.2f}%")]
    for one in timed:
        share = 100 * one.seconds / whole
        rows.append((type(one.inner).__name__, str(one.looks), f"{one.seconds:.2f}", f"{share:.2f}%"))
    total = setup + sum(one.seconds for one in timed)
    rows.append(("all", "", f"{total:.2f}", f"{100 * total / whole:.2f}%"))
    Table(("observer", "looks", "seconds", "share of the run"), rows, f"{asked.steps} steps in {whole:.1f} s").print()


if __name__ == "__main__":
    main()
