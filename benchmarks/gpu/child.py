"""The process of one stage: its parts one after another, each with a time limit that holds even where Python hangs.

    python -m benchmarks.gpu.child training --folder F --until 1796000000 --device cuda

A part that raises leaves a sentence, and the next one begins. Where an error has left the device unusable, as a CUDA error
does, the process ends with `AGAIN` and another one goes on with the parts that no process has begun. The time limit is an
alarm that the operating system delivers by ending the process. When the process that started this one is gone, so is this one.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.gpu.card import card
from benchmarks.gpu.process import alarm, end_with_the_parent
from benchmarks.gpu.record import BEGUN, DONE, Record, sentence
from benchmarks.gpu.stage import AGAIN, Job, Part


def usable(device: torch.device) -> bool:
    """Whether the device still computes: after most CUDA errors it refuses everything."""
    if device.type != "cuda":
        return True
    try:
        torch.cuda.synchronize()
        return torch.ones(2, device=device).sum().item() == 2
    except RuntimeError:
        return False


def run(parts: Sequence[Part], job: Job, record: Record) -> int:
    """The exit code."""
    for part in parts:
        if part.name in record.found["parts"]:
            continue
        if job.left() < job.scaled(0, part.needs):
            record.part(part.name, f"left out: it needs {part.needs:.0f} s, and {max(job.left(), 0):.0f} s were left")
            continue
        record.part(part.name, BEGUN)
        began = time.time()
        with alarm(min(part.limit, job.left())):
            record.part(part.name, outcome(part, job, record))
            record.write(took=record.found.get("took", {}) | {part.name: round(time.time() - began, 1)})
            if not usable(job.device):
                return AGAIN
            free(job.device)
    return 0


def outcome(part: Part, job: Job, record: Record) -> str:
    """What has become of a part."""
    try:
        part.run(job, record)
    except Exception as error:
        return sentence(error)
    return DONE


def free(device: torch.device) -> None:
    """Give the memory of a part back."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--until", type=float, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", default="")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args(arguments)
    end_with_the_parent()
    record = Record(asked.folder / f"{asked.stage}.json")
    job = Job(torch.device(asked.device), asked.quick, asked.folder, asked.until, asked.data)
    with alarm(job.left()):
        parts = import_module(f"benchmarks.gpu.stages.{asked.stage}").PARTS
        record.write(card=card(job.device), planned=[part.name for part in parts])
    return run(parts, job, record)


if __name__ == "__main__":
    sys.stdout.flush()
    code = main()
    sys.stdout.flush()
    os._exit(code)  # no library's clean-up of the device, which may hang
