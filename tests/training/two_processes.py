"""What each of several processes does in the tests of `test_distributed.py`: `torchrun ... two_processes.py JOB FOLDER`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

import torch

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import (
    Callback,
    ComputeSettings,
    Every,
    TrainSettings,
    fit,
    join_process_group,
    load,
    train,
)
from sde_diffusion.training.ema.exponential import EMA

SETTINGS = TrainSettings(
    steps=12, batch_size=8, gradient_accumulation=4, learning_rate=1e-2, warmup=3, checkpoint_every=4, log_every=1, max_consecutive_skips=3,
    snapshot_every=5,
)  # fmt: skip


ACTS = {
    "stop": lambda: os.kill(os.getpid(), signal.SIGINT),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "hang": lambda: time.sleep(600),
}
"""What happens to one process, once."""


def parts():
    """A model and its data, the same in every process."""
    torch.manual_seed(7)
    denoiser = Preconditioned(TimeMLP(2, width=16, depth=2, classes=3), EDMPreconditioning())
    data = torch.randn(30, 2, generator=torch.Generator().manual_seed(5))
    return denoiser, data, torch.arange(30) % 3


def losses(folder: Path, world, engine: str, objective=None, job: str = "train") -> list[float]:
    """The loss of each step; in the job `between` the last process is interrupted while the loop waits for it.

    In the job `workers` each process has another one read a data set of the same rows.
    """
    denoiser, data, labels = parts()
    workers = int(job == "workers")
    if workers:
        data, labels = torch.utils.data.TensorDataset(data, labels), True
    more = {} if objective is None else {"objective": objective}
    seen = []
    compute = ComputeSettings(engine=engine, workers=workers)
    ema = EMA(denoiser, SETTINGS.ema_decay)
    for report in train(
        denoiser, VP(), data, SETTINGS, labels=labels, folder=folder, compute=compute, world=world, ema=ema, **more
    ):
        seen.append(report.loss)
        if report.step == 5 and job == "between" and world.rank == world.size - 1:
            os.kill(os.getpid(), signal.SIGINT)
    return seen


class Norm(Callback):
    """Finds the sum of the absolute weights of what it is shown; it draws, and fails once; perhaps it is interrupted."""

    def __init__(self, strike: bool) -> None:
        self.trigger, self.strike = Every(4), strike

    def on_report(self, context):
        context.numbers["held_out_loss"] = float(
            sum(value.double().abs().sum() for value in context.model.state_dict().values())
        )
        torch.rand(3)
        if context.step == 4 and self.strike:
            os.kill(os.getpid(), signal.SIGINT)
        if context.step == 8:
            raise OSError(28, "No space left on device")


def watched(folder: Path, world, engine: str, strike: bool = False) -> list[float]:
    """The loss of each step of the same run under an observer; `strike` interrupts the leading process in its look."""
    denoiser, data, labels = parts()
    more = {"labels": labels, "folder": folder, "compute": ComputeSettings(engine=engine), "world": world}
    with warnings.catch_warnings(record=True):
        fit(denoiser, VP(), data, SETTINGS, callbacks=[Norm(strike)], **more)
    return [line["loss"] for line in metrics_file.read(folder / "metrics.jsonl") if "loss" in line]


def again(folder: Path, world, engine: str) -> list[float]:
    """A run to its end, then asked for once more with new objects: how far those are from the last checkpoint, 0 if filled."""
    losses(folder, world, engine)
    denoiser, data, labels = parts()
    ema = EMA(denoiser, SETTINGS.ema_decay)
    told = {"labels": labels, "folder": folder, "compute": ComputeSettings(engine=engine), "world": world, "ema": ema}
    assert list(train(denoiser, VP(), data, SETTINGS, **told)) == []
    kept = load(folder / "checkpoints" / f"step-{SETTINGS.steps:06d}")
    pairs = [(denoiser, kept.model), (ema.model, kept.ema)]
    return [
        float((have - want[name]).abs().max()) for model, want in pairs for name, have in model.state_dict().items()
    ]


class Fault:
    """The usual objective; one process has something happen to it at its first part of step 5."""

    def __init__(self, kind: str, world) -> None:
        self.kind, self.calls, self.world, self.inner = kind, 0, world, DenoisingScoreMatching()

    def fingerprint(self):
        """That of the usual objective, so that the run goes on without the fault."""
        return self.inner

    def __call__(self, *args, **condition):
        self.calls += 1
        own = SETTINGS.gradient_accumulation // self.world.size
        here = self.world.rank == self.world.size - 1 and self.calls == 4 * own + 1
        if here and self.kind in ACTS and os.environ.get("TORCHELASTIC_RESTART_COUNT") == "0":
            ACTS[self.kind]()
        return self.inner(*args, **condition) * (float("nan") if here and self.kind == "nan" else 1.0)


def main() -> None:
    """Run the job and leave what this process saw in FOLDER/rank-R.json."""
    job, folder, engine = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    with join_process_group(torch.device("cpu"), 10.0 if job == "hang" else 60.0) as world:
        told = {"losses": [], "ended": "well"}
        try:
            if job == "again":
                told["losses"] = again(folder / "run", world, engine)
            elif job in ("watched", "struck"):
                told["losses"] = watched(folder / "run", world, engine, job == "struck")
            else:
                told["losses"] = losses(folder / "run", world, engine, Fault(job, world), job)
        except (KeyboardInterrupt, RuntimeError) as error:
            if job == "hang":
                raise
            told["ended"] = type(error).__name__
        (folder / f"rank-{world.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
