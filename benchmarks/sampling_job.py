"""One job of 10,000 samples by one process and by two: whether the files are the same, and how much faster two are.

    python -m benchmarks.sampling_job                       about 5 minutes on two cores
    python -m benchmarks.sampling_job --count 1000 --rounds 1

Runs `sde-diffusion sample` as people do, by itself and under torchrun, one thread a process, in turns; a time is the
fastest of all rounds. Time is measured from the loaded model to the last sample in one file (`samples.json`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from benchmarks.output import save_table

NETWORK = "unet(width=32,multipliers=[1,2],blocks=1,attention=[1])"
COMMAND = [sys.executable, "-c", "import sys; from sde_diffusion.cli.main import main; sys.exit(main())"]


def command(processes: int) -> list[str]:
    """`sde-diffusion`, by so many processes."""
    if processes == 1:
        return COMMAND
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return [*run, "--no-python", *COMMAND]


def run(processes: int, *arguments: str) -> None:
    """Raises CalledProcessError with what it said on its standard error."""
    subprocess.run([*command(processes), *arguments], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)


def drawn(model: Path, folder: Path, processes: int, count: int) -> tuple[float, str]:
    """Seconds, and the digest of the samples."""
    wanted = ["--sampler", "dpmpp_2m", "--count", str(count), "--chunk", "250", "--device", "cpu"]
    run(processes, "sample", str(model), *wanted, "--output", str(folder))
    seconds = json.loads((folder / "samples.json").read_text())["seconds"]
    return seconds, hashlib.sha256((folder / "samples.safetensors").read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    seconds: dict[int, list[float]] = {number: [] for number in options.processes}
    digests: dict[int, set[str]] = {number: set() for number in options.processes}
    with tempfile.TemporaryDirectory() as place:
        model = Path(place) / "run"
        run(1, "train", "--network", NETWORK, "--training.steps", "20", "--output", str(model))
        for turn in tqdm(range(options.rounds), "rounds"):
            for number in options.processes:
                took, digest = drawn(model, Path(place) / f"{number}-{turn}", number, options.count)
                seconds[number].append(took)
                digests[number].add(digest)
    first = min(seconds[options.processes[0]])
    known = set().union(*digests.values())
    columns = ["processes", "seconds", "samples/s", "times one", "samples.safetensors"]
    rows = [
        [str(n), f"{min(s):.1f}", f"{options.count / min(s):.0f}", f"{first / min(s):.2f}", ", ".join(sorted(d[:12] for d in digests[n]))]
        for n, s in seconds.items()
    ]  # fmt: skip
    said = "identical files" if len(known) == 1 else f"{len(known)} different files"
    save_table("sampling_job", f"{options.count} samples: {said}", columns, rows, seconds=seconds, network=NETWORK)


if __name__ == "__main__":
    main()
