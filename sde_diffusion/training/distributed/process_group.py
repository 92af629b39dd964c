"""The processes that train together: the main one, what they agree on, and how an exception on one rank is raised on all.

`torchrun` starts them and names each by the variables RANK, WORLD_SIZE and LOCAL_RANK. Tensors travel by the group
of the device (NCCL on GPUs, gloo on CPUs), other values by one of gloo, which never waits for a GPU.
"""

from __future__ import annotations

import datetime
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from sde_diffusion.training.errors import PeerError

T = TypeVar("T")


@dataclass(frozen=True)
class ProcessGroup:
    """This process among `size` of them. `control` is the gloo group for plain values, None alone."""

    rank: int = 0
    size: int = 1
    control: Any = None

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def run_on_main(self, act: Callable[[], T]) -> T:
        """What `act` gives in the main process, on all ranks. Its error is raised there, and `PeerError` on the rest.

        The value travels through pickle, inside one run's own processes: keep it small and plain.
        """
        if self.size == 1:
            return act()
        value, error = None, None
        if self.is_main:
            try:
                value = act()
            except Exception as raised:
                error = raised
        shared = [value, None if error is None else f"{type(error).__name__}: {error}"]
        dist.broadcast_object_list(shared, src=0, group=self.control)
        if error is not None:
            raise error
        if shared[1] is not None:
            raise PeerError(f"the main process stopped this run ({shared[1]})")
        return shared[0]

    def mean(self, value: Tensor) -> Tensor:
        """The mean over the processes of a tensor on the training device; NaN anywhere is NaN everywhere."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.size

    def assert_same_on_all_ranks(self, values: dict[str, Any]) -> None:
        """Raises ValueError, on all ranks, unless every process has the same values."""
        if self.size == 1:
            return
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, values, group=self.control)
        for rank, other in enumerate(found):
            differing = sorted(key for key in values | other if values.get(key) != other.get(key))
            if differing:
                key = differing[0]
                raise ValueError(
                    f"process {rank} of {self.size} has {key} {other.get(key)}, process {self.rank} has "
                    f"{values.get(key)}; start all with the same arguments and data"
                )


class Agreement:
    """A stop of all processes after the same step, one step after the first of them asks for it.

    Each step posts its own request without waiting and reads the sum of the step before, so that no process waits for a
    message on its way. A process alone stops at once.
    """

    def __init__(self, world: ProcessGroup) -> None:
        self.world, self.pending, self.requests = world, None, torch.zeros(1, dtype=torch.int32)

    def reached(self, requested: bool) -> bool:
        """Whether to stop here; called by every process after every step."""
        if self.world.size == 1:
            return requested
        agreed = self.settle()
        self.requests = torch.tensor([int(requested)], dtype=torch.int32)
        self.pending = dist.all_reduce(self.requests, group=self.world.control, async_op=True)
        return agreed

    def settle(self) -> bool:
        """Wait for what is still on its way; whether any process had asked to stop."""
        if self.pending is None:
            return False
        self.pending.wait()
        self.pending = None
        return bool(self.requests.item())


def under_torchrun() -> bool:
    """Whether this process is one of several that torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def join_process_group(device: torch.device, timeout: float = 600.0) -> Iterator[ProcessGroup]:
    """For the length of the block, join the other processes that torchrun started; alone without any.

    A wait of more than `timeout` seconds for another process raises an error. Raises ValueError for a block in a block.
    """
    if not under_torchrun():
        yield ProcessGroup()
        return
    if dist.is_initialized():
        raise ValueError("these processes have joined already; join once, around everything")
    limit = datetime.timedelta(seconds=timeout)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=limit)
    try:
        control = dist.new_group(backend="gloo", timeout=limit)
        yield ProcessGroup(dist.get_rank(), dist.get_world_size(), control)
    finally:
        gc.collect()  # what uses the group goes before it
        dist.destroy_process_group()


def own_device(kind: str) -> torch.device:
    """The device of this process: its GPU by LOCAL_RANK, or the CPU."""
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)
