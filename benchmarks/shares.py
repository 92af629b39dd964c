"""How much memory does a process of a sharded run need: to begin, to train, to save and to go on?

    python -m benchmarks.shares                       400 MB of weights, two processes over gloo, about 5 minutes
    python -m benchmarks.shares --depth 8 --kinds shares --processes 2 1

A run of four steps that writes checkpoints in shares, whose last is put together; then another number of processes goes on
for two more. `whole` is the same with a network that each process builds with all its weights, as in Python without `deferred`.
The figures are the most anonymous memory (RssAnon, looked at each millisecond) beyond that of a process which has loaded
everything and trained a network of a few bytes, and how many shares of the weights, in float32, that is.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tqdm import tqdm

from benchmarks.output import save_table

STEPS, MORE = 4, 2
PHASES = {
    "begin": "network, average and what a run needs besides, before the first step",
    "read": "a checkpoint in shares",
    "train": "steps",
    "write": "a checkpoint in shares",
    "put together": "the last one, on the disk, by the main process",
}

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    "MALLOC_MMAP_THRESHOLD_": "1000000",
}
"""The last one: glibc gives back at once what is freed, which it otherwise keeps for blocks of up to 32 MB."""


def anonymous() -> int:
    """Bytes of this process's memory that are of no file."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))


class Watch:
    """The most memory in each phase, beyond the base."""

    def __init__(self) -> None:
        self.phase, self.most, self.base, self.over = "", dict.fromkeys(PHASES, 0), 0, False
        self.thread = threading.Thread(target=self._look, daemon=True)

    def begin(self) -> None:
        """From here on."""
        ctypes.CDLL(None).malloc_trim(0)
        self.base = anonymous()
        self.thread.start()

    def _look(self) -> None:
        while not self.over:
            self.note()
            time.sleep(0.001)

    def note(self) -> None:
        """Look now."""
        if self.phase:
            self.most[self.phase] = max(self.most[self.phase], anonymous() - self.base)

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """What the block needs is of this phase, what was there before too."""
        before, self.phase = self.phase, phase
        self.note()
        try:
            yield
        finally:
            self.note()
            self.phase = before

    def marked(self, act: Callable, phase: str) -> Callable:
        """A function whose memory is of a phase."""

        def marked(*args: Any, **options: Any) -> Any:
            with self.during(phase):
                return act(*args, **options)

        return marked


def reports(folder: Path, world: Any, options: argparse.Namespace, steps: int, width: int, depth: int) -> Iterator:
    """The run, before its first step."""
    import torch

    from sde_diffusion.denoisers import Preconditioned
    from sde_diffusion.networks import TimeMLP
    from sde_diffusion.parameterization import EDMPreconditioning
    from sde_diffusion.sde import VP
    from sde_diffusion.sharing.run import seeded
    from sde_diffusion.training import ComputeSettings, TrainSettings, train
    from sde_diffusion.training.distributed.first_weights import deferred

    build = deferred if options.how == "shares" and world.size > 1 else seeded
    denoiser = Preconditioned(build(0, lambda: TimeMLP(2, width=width, depth=depth)), EDMPreconditioning(1.0))
    settings = TrainSettings(steps=steps, batch_size=8, gradient_accumulation=2, log_every=1, checkpoint_every=STEPS)
    compute = ComputeSettings(engine="sharded", checkpoints="shares")
    data = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    return train(denoiser, VP(), data, settings, folder=folder, compute=compute, world=world, device="cpu")


def work(options: argparse.Namespace) -> None:
    """One process: its phases, into a file."""
    import torch

    from sde_diffusion.training import join_process_group, store
    from sde_diffusion.training.checkpoints import shares

    watch, folder = Watch(), Path(options.folder)
    with join_process_group(torch.device("cpu")) as world:
        list(reports(folder / f"small-{options.steps}", world, options, STEPS, 8, 2))
        watch.begin()
        with (
            patch.object(shares, "save", watch.marked(shares.save, "write")),
            patch.object(shares, "fill", watch.marked(shares.fill, "read")),
            patch.object(store, "put_together", watch.marked(store.put_together, "put together")),
        ):
            with watch.during("begin"):
                run = reports(folder / "run", world, options, options.steps, options.width, options.depth)
            with watch.during("train"):
                list(run)
        watch.over = True
        name = f"{options.how}-{options.steps}-{world.rank}.json"
        (folder / name).write_text(json.dumps(watch.most))


def launched(options: argparse.Namespace, folder: Path, how: str, processes: int, steps: int) -> list[dict[str, int]]:
    """The phases of each process."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [*run, "-m", "benchmarks.shares"] if processes > 1 else [sys.executable, "-m", "benchmarks.shares"]
    asked = {"folder": folder, "how": how, "steps": steps, "width": options.width, "depth": options.depth}
    more = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    subprocess.run([*command, *more], env=os.environ | ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return [json.loads((folder / f"{how}-{steps}-{rank}.json").read_text()) for rank in range(processes)]


def weights_of(options: argparse.Namespace) -> int:
    """Bytes of the network's weights."""
    import torch

    from sde_diffusion.networks import TimeMLP

    with torch.device("meta"):
        return sum(4 * p.numel() for p in TimeMLP(2, width=options.width, depth=options.depth).parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--depth", type=int, default=38)
    parser.add_argument(
        "--processes", type=int, nargs=2, default=[2, 2], help="of the run, and of what goes on with it"
    )
    parser.add_argument("--kinds", nargs="+", choices=["whole", "shares"], default=["whole", "shares"])
    for name, kind in (("folder", str), ("how", str), ("steps", int)):
        parser.add_argument(f"--{name}", type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        work(options)
        return
    first, then = options.processes
    weights, rows = weights_of(options), []
    for how in tqdm(options.kinds, "kinds"):
        with tempfile.TemporaryDirectory() as place:
            for processes, steps in ((first, STEPS), (then, STEPS + MORE)):
                found = launched(options, Path(place), how, processes, steps)
                rows += [row(how, processes, steps, phase, [one[phase] for one in found], weights) for phase in PHASES]
    columns = ["the network", "processes", "steps", "phase", "MB in each process", "shares of the weights"]
    title = (
        f"Memory of a sharded run: {weights / 1e6:.0f} MB of weights, {weights / first / 1e6:.0f} MB a share of {first}"
    )
    save_table("shares", title, columns, [one for one in rows if one], phases=PHASES)


def row(how: str, processes: int, steps: int, phase: str, bytes_: list[int], weights: int) -> list[str]:
    """A row of the table; empty for a phase that was not."""
    if not any(bytes_):
        return []
    shares = [f"{processes * value / weights:.2f}" for value in bytes_]
    said = f"1 to {steps}" if steps == STEPS else f"{STEPS + 1} to {steps}"
    return [how, str(processes), said, phase, ", ".join(f"{value / 1e6:.0f}" for value in bytes_), ", ".join(shares)]


if __name__ == "__main__":
    main()
