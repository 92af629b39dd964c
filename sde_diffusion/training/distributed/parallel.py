r"""How several processes share one model: each holds it whole (DDP) or a share of it (FSDP2).

A batch is cut into `microbatches` equal parts, each with noise and dropout of its own, keyed by (seed, step, part). A
process of W takes every W-th part, and the gradients of all parts are averaged. So the sum that a step follows is the
same for every W that divides the parts; only the order of its additions differs.

What is wrapped is the loss and not the network, so that an objective may use a denoiser as it likes.

References:
    Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training, 2020,
        https://arxiv.org/abs/2006.15704
    Zhao et al., PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel, 2023, https://arxiv.org/abs/2304.11277
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sde_diffusion.training.distributed.process_group import ProcessGroup


class Loss(nn.Module):
    """The objective of a model as a module: (x0 (B, *E), generator, condition) -> losses (B,)."""

    def __init__(self, model: nn.Module, objective: Callable[..., Tensor], sde: Any) -> None:
        super().__init__()
        self.model, self.objective, self.sde = model, objective, sde

    def forward(self, x0: Tensor, generator: torch.Generator, condition: dict[str, Tensor]) -> Tensor:
        """The losses."""
        return self.objective(self.model, self.sde, x0, generator, **condition)


class ParallelStrategy(ABC):
    """What the loop asks of a way to share a model."""

    def __init__(self, world: ProcessGroup) -> None:
        self.world = world

    @abstractmethod
    def placed(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model that is trained on `device`: the argument itself, moved, or a copy in shares."""

    @abstractmethod
    def wrapped(self, loss: Loss) -> nn.Module:
        """The loss whose gradients arrive averaged over the processes."""

    @abstractmethod
    def synchronised(self, loss: nn.Module, last: bool) -> AbstractContextManager:
        """The context of one part's loss and gradient; only that of the last part ends with an exchange."""

    def parts(self, microbatches: int) -> range:
        """The parts of a batch that this process takes, in order. Raises ValueError when they cannot be shared."""
        if microbatches % self.world.size:
            raise ValueError(
                f"{microbatches} microbatches cannot be shared evenly by {self.world.size} processes; set "
                f"training.microbatches to a multiple of {self.world.size}"
            )
        return range(self.world.rank, microbatches, self.world.size)


class SingleProcess(ParallelStrategy):
    """One process with all of the model."""

    def placed(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model, moved."""
        return model.to(device)

    def wrapped(self, loss: Loss) -> nn.Module:
        """The loss itself."""
        return loss

    def synchronised(self, loss: nn.Module, last: bool) -> AbstractContextManager:
        """Nothing to exchange."""
        return nullcontext()


class Replicated(SingleProcess):
    """Every process holds the whole model; gradients are averaged while they are computed (DDP)."""

    def wrapped(self, loss: Loss) -> nn.Module:
        """The loss under DDP, which begins by handing out the leading process's weights."""
        return DistributedDataParallel(loss, gradient_as_bucket_view=True)

    def synchronised(self, loss: nn.Module, last: bool) -> AbstractContextManager:
        """DDP's own context."""
        return nullcontext() if last else loss.no_sync()  # pyright: ignore


class Sharded(ParallelStrategy):
    """Every process holds a share of each tensor (FSDP2), cut along its first dimension.

    The caller's model stays where it is and takes the weights of each checkpoint; a copy is trained. The units that are
    gathered together are the members of the model's `nn.ModuleList`s, as networks keep their blocks in, and the rest.
    """

    def placed(self, model: nn.Module, device: torch.device) -> nn.Module:
        """A copy in shares."""
        from torch.distributed.device_mesh import init_device_mesh

        self.mesh = init_device_mesh(device.type, (self.world.size,))
        return copy.deepcopy(model).to(device)

    def wrapped(self, loss: Loss) -> nn.Module:
        """The loss, its blocks and itself under `fully_shard`."""
        from torch.distributed.fsdp import fully_shard

        for block in blocks(loss.model):
            fully_shard(block, mesh=self.mesh)
        fully_shard(loss, mesh=self.mesh)
        return loss

    def synchronised(self, loss: nn.Module, last: bool) -> AbstractContextManager:
        """FSDP2 is told by a switch rather than a context."""
        loss.set_requires_gradient_sync(last)  # pyright: ignore
        return nullcontext()


STRATEGIES: dict[str, type[ParallelStrategy]] = {"replicated": Replicated, "sharded": Sharded}


def strategy_of(name: str, world: ProcessGroup) -> ParallelStrategy:
    """The engine called `replicated` or `sharded`; one process alone needs none."""
    return SingleProcess(world) if world.size == 1 else STRATEGIES[name](world)


def blocks(model: nn.Module) -> list[nn.Module]:
    """The members with parameters of the outermost module lists."""
    found: list[nn.Module] = []
    for child in model.children():
        if isinstance(child, nn.ModuleList):
            found += [block for block in child if any(True for _ in block.parameters())]
        else:
            found += blocks(child)
    return found


def full_tensor(value: Tensor) -> Tensor:
    """A tensor of which every process may hold a share, put together; all processes must ask."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value  # pyright: ignore


def full_state(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same of each."""
    return {name: full_tensor(value) for name, value in tensors.items()}


@torch.no_grad()
def copy_into_shards(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one of which this process may hold a share; nobody waits for another process."""
    if hasattr(target, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor

        value = value.to(target.device)
        value = distribute_tensor(value, target.device_mesh, target.placements, src_data_rank=None)  # pyright: ignore
    target.copy_(value)
