"""How many threads of the CPU a run takes: one or all, whichever is faster for its network on this machine.

On a shared machine, and for small networks, more threads can be many times slower. The number decides the last bits of the
weights, so that it is kept with the run and taken again when the run goes on.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from sde_diffusion.data.base import Batch
from sde_diffusion.training.batches import seeded_generators
from sde_diffusion.training.settings import ComputeSettings

LARGEST = 10_000_000
"""Parameters of a network above which all threads are taken without a measurement."""

PASSES, LONGEST = 5, 2.0
"""Passes that are timed for each number of threads, and the seconds after which the measurement is given up."""


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """torch computes with `count` threads for the length of the block."""
    before = torch.get_num_threads()
    if count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_threads(recorded: int, compute: ComputeSettings, model: nn.Module, sde: Any, batch: Batch) -> int:
    """Those that the settings ask for, else those `recorded` in the run, else the faster of one and all."""
    if compute.threads or recorded:
        return compute.threads or recorded
    count = torch.get_num_threads()
    small = sum(parameter.numel() for parameter in model.parameters()) <= LARGEST
    if count == 1 or batch.x.device.type != "cpu" or not small or compute.compile or not hasattr(sde, "kernel"):
        return count
    return faster(count, model, sde, batch)


def faster(count: int, model: nn.Module, sde: Any, batch: Batch) -> int:
    """1 or `count`, by the time of a few passes forward and backward through a copy of the model."""
    probe = copy.deepcopy(model).train()
    with seeded_generators(torch.device("cpu")) as generators:
        generators(0)
        found = {}
        for threads in (count, 1):
            with using_threads(threads):
                found[threads] = _seconds(probe, sde, batch)
    return min(found, key=found.__getitem__)


def _seconds(model: nn.Module, sde: Any, batch: Batch) -> float:
    """The shortest of a few passes, the first one left out; infinite where even that one takes long."""
    kernel = sde.kernel(0.5 * (sde.t_min + sde.horizon))
    times = []
    for _ in range(PASSES + 1):
        start = time.perf_counter()
        model(kernel.perturb(batch.x, torch.zeros_like(batch.x)), kernel, **batch.condition).square().mean().backward()
        times.append(time.perf_counter() - start)
        if sum(times) > LONGEST:
            break
    return min(times[1:] or times)
