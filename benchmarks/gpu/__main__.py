"""Measures on a GPU what this project claims of it, within a budget of seconds, and writes one page of figures.

    python -m benchmarks.gpu                            on a GPU: docs/gpu.md, benchmarks/results/gpu.json
    python -m benchmarks.gpu --output F                 the same into a folder F
    python -m benchmarks.gpu --only training            one stage; what is known of the others stays
    python -m benchmarks.gpu --device cpu --quick       every stage in tiny, into a temporary folder
    python -m benchmarks.gpu --publish F                docs/gpu.md from the records that an earlier run left in F

The stages run in the order of their worth. The page and the summary are written after each, so that a run that is stopped by
Ctrl-C, SIGTERM or the end of its budget keeps what it has. The records of a GPU lie in benchmarks/raw/gpu, which git ignores.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu.page import on_cpu, page
from benchmarks.gpu.record import read
from benchmarks.gpu.runner import Runner
from benchmarks.gpu.stage import STAGES, Stage
from benchmarks.output import RAW, RESULTS, rounded, save_summary
from sde_diffusion.io.atomic import replace_file
from sde_diffusion.training.signals import Terminated, obey_first_signal

DOCS = Path(__file__).resolve().parents[2] / "docs"
LONGEST_LOOK = 90.0
"""Seconds that the first look at a GPU may take."""
DIGITS = 5
"""Of the numbers in the summary and on the page."""


@dataclass(frozen=True)
class Places:
    """Where a run writes: the folder of its records, of the summary gpu.json, and of the page gpu.md."""

    records: Path
    results: Path
    page: Path

    @classmethod
    def of(cls, output: Path | None) -> Places:
        """Those of the repository, or all in one folder."""
        if output is None:
            return cls(RAW / "gpu", RESULTS, DOCS)
        return cls(output / "records", output, output)

    def make(self) -> None:
        """The folders."""
        for folder in (self.records, self.results, self.page):
            folder.mkdir(parents=True, exist_ok=True)


def gathered(records: Path, stages: Sequence[Stage]) -> dict[str, dict]:
    """What the records of a folder hold, by the names of the stages; none where there are none."""
    found = {}
    for stage in stages:
        one = read(records / f"{stage.name}.json") | read(records / f"{stage.name}.state.json")
        if one:
            found[stage.name] = one
    return found


def write(records: Path, places: Places, stages: Sequence[Stage]) -> None:
    """The page, its pictures and the summary, of the same numbers."""
    found = rounded(gathered(records, stages), DIGITS)
    for one in found.values():
        for name in one.get("pictures", []):
            (places.page / "pictures").mkdir(exist_ok=True)
            shutil.copyfile(records / name, places.page / "pictures" / name)
    replace_file(places.page / "gpu.md", page(found, stages).encode())
    if found:
        save_summary("gpu", found, DIGITS, places.results)


def publish(folder: Path) -> str:
    """The page of the repository from the records of a run, in its folder or below; that of no GPU where there are none.

    Raises ValueError for records of a CPU, and for none where the page is that of a GPU: it stays.
    """
    records = folder / "records" if (folder / "records").is_dir() else folder
    found, places = gathered(records, STAGES), Places.of(None)
    if on_cpu(found):
        raise ValueError(f"the records in {folder} are of a CPU, and docs/gpu.md is that of a GPU; give those of a GPU")
    if not found and (places.results / "gpu.json").exists():
        raise ValueError(f"{folder} holds no records, and docs/gpu.md stays that of a GPU; give the folder of a run")
    write(records, places, STAGES)
    return f"{places.page / 'gpu.md'}: {', '.join(found) or 'no GPU has been at hand'}"


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=float, default=480, help="seconds in all")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, cpu")
    parser.add_argument("--quick", action="store_true", help="everything tiny")
    parser.add_argument("--data", default="", help="the folder of Fashion-MNIST's idx files; also FASHION_MNIST")
    parser.add_argument("--output", type=Path, help="a folder for all that is written")
    parser.add_argument("--only", nargs="+", choices=[stage.name for stage in STAGES], metavar="STAGE")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="write docs/gpu.md from the records of a run")
    asked = parser.parse_args(given)
    if asked.budget < 20:
        parser.error(f"--budget is at least 20 seconds, got {asked.budget:g}; 480 is usual")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", asked.device):
        parser.error(f"--device is cuda, cuda:1 or cpu, got {asked.device!r}")
    if asked.device == "cpu" and asked.output is None:
        asked.output = Path(tempfile.mkdtemp(prefix="sde-diffusion-gpu."))
    return asked


def refusal(device: str) -> str:
    """Why nothing can be measured on this GPU; nothing where it can. Another process looks, for one that hangs can be left."""
    index = int(device.partition(":")[2] or 0)
    command = [sys.executable, "-c", f"import torch; torch.ones(1, device='cuda:{index}').sum().item()"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LONGEST_LOOK)
    except subprocess.TimeoutExpired:
        return f"{device} did not add two numbers within {LONGEST_LOOK:.0f} s; nothing was changed"
    if done.returncode == 0:
        return ""
    said = ([line for line in done.stderr.splitlines() if line.strip()] or ["no reason was given"])[-1]
    return f"torch cannot compute on {device} ({said}); take a machine with a GPU, or --device cpu --quick to try every line; nothing was changed"


def main(given: Sequence[str] | None = None) -> int:
    asked = arguments(given)
    if asked.publish:
        try:
            print(publish(asked.publish))
        except ValueError as error:
            sys.exit(f"benchmarks.gpu: {error}")
        return 0
    began = time.time()
    if asked.device.startswith("cuda") and (wrong := refusal(asked.device)):
        sys.exit(f"benchmarks.gpu: {wrong}")
    places = Places.of(asked.output)
    places.make()
    chosen = [stage for stage in STAGES if not asked.only or stage.name in asked.only]
    options = ["--device", asked.device, *(["--data", asked.data] if asked.data else []), *["--quick"] * asked.quick]
    budget = asked.budget - (time.time() - began)
    runner = Runner(chosen, budget, places.records, options, lambda: write(places.records, places, STAGES))
    try:
        with obey_first_signal(to_the_end=True):
            runner.run()
    except (KeyboardInterrupt, Terminated) as stop:
        print(f"stopped after {time.time() - began:.0f} s; what was measured is in {places.page / 'gpu.md'}")
        return 130 if isinstance(stop, KeyboardInterrupt) else 143
    print(f"{places.page / 'gpu.md'}, after {time.time() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
