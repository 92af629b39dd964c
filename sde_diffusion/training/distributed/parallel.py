r"""How several processes share one model: each holds it whole (DDP) or a share of it (FSDP2).

A batch is cut into `gradient_accumulation` equal parts, each with noise and dropout of its own, keyed by (seed, step, part). A
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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sde_diffusion.training.distributed.process_group import ProcessGroup

FIRST_WEIGHTS = "first_weights"
"""The attribute of a network on the meta device that has its first numbers, see `first_weights`."""


class ParallelStrategy(ABC):
    """What the loop asks of a way to share a model."""

    def __init__(self, world: ProcessGroup) -> None:
        self.world = world

    @abstractmethod
    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model that is trained on `device`: the argument itself, moved, or a copy in shares."""

    @abstractmethod
    def wrap_loss(self, loss: nn.Module) -> nn.Module:
        """The loss, with a `model` in it, whose gradients arrive averaged over the processes."""

    @abstractmethod
    def no_sync(self, loss: nn.Module) -> Callable[[], AbstractContextManager]:
        """Makes the context of a part of a batch whose gradients are not yet exchanged, for a loss of `wrap_loss`."""

    def parts(self, count: int) -> range:
        """The parts of a batch that this process takes, in order. Raises ValueError when they cannot be shared."""
        if count % self.world.size:
            raise ValueError(
                f"{count} parts of a batch cannot be shared evenly by {self.world.size} processes; set "
                f"training.gradient_accumulation to a multiple of {self.world.size}"
            )
        return range(self.world.rank, count, self.world.size)


class SingleProcess(ParallelStrategy):
    """One process with all of the model."""

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """The model, moved. Raises ValueError for one on the meta device, which processes fill that share it."""
        if on_meta(model):
            raise ValueError(
                "the network is on the meta device, and only several processes with engine='sharded' give it its weights; "
                "build it on the CPU"
            )
        return model.to(device)

    def wrap_loss(self, loss: nn.Module) -> nn.Module:
        """The loss itself."""
        return loss

    def no_sync(self, loss: nn.Module) -> Callable[[], AbstractContextManager]:
        """Nothing to exchange."""
        return nullcontext


class Replicated(SingleProcess):
    """Every process holds the whole model; gradients are averaged while they are computed (DDP)."""

    def wrap_loss(self, loss: nn.Module) -> nn.Module:
        """The loss under DDP, which begins by handing out the main process's weights."""
        return DistributedDataParallel(loss, gradient_as_bucket_view=True)

    def no_sync(self, loss: nn.Module) -> Callable[[], AbstractContextManager]:
        """DDP's own context."""
        return loss.no_sync  # pyright: ignore


class Sharded(ParallelStrategy):
    """Every process holds a share of each tensor (FSDP2), cut along its first dimension.

    The caller's model stays where it is and takes the last weights; a copy is trained. A model on the meta device, see
    `first_weights`, gets memory for this process's shares alone, and is not filled. The units that are gathered together are
    the members of the model's `nn.ModuleList`s, as networks keep their blocks in, and the rest.
    """

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """A copy in shares."""
        from torch.distributed.device_mesh import init_device_mesh

        self.mesh, self.device = init_device_mesh(device.type, (self.world.size,)), device
        return copy.deepcopy(model)._apply(lambda tensor: tensor if tensor.is_meta else tensor.to(device))

    def wrap_loss(self, loss: nn.Module) -> nn.Module:
        """The loss, its blocks and itself under `fully_shard`."""
        from torch.distributed.fsdp import fully_shard

        from sde_diffusion.training.distributed.first_weights import materialise

        for block in blocks(loss.model):  # pyright: ignore[reportArgumentType]
            fully_shard(block, mesh=self.mesh)
        fully_shard(loss, mesh=self.mesh)
        materialise(loss, self.device)
        return loss

    def no_sync(self, loss: nn.Module) -> Callable[[], AbstractContextManager]:
        """FSDP2 has a switch instead of a context."""

        @contextmanager
        def off() -> Iterator[None]:
            loss.set_requires_gradient_sync(False)  # pyright: ignore
            try:
                yield
            finally:
                loss.set_requires_gradient_sync(True)  # pyright: ignore

        return off


class InShares(nn.Module):
    """Stands for an averaged model of which each process holds a share, so that no process can call it."""

    def __init__(self, advice: str) -> None:
        super().__init__()
        self.advice = advice

    def forward(self, *args, **kwargs):
        """Raises ValueError."""
        raise ValueError(f"the averaged model lies in shares, and no process can call it; {self.advice}")


STRATEGIES: dict[str, type[ParallelStrategy]] = {"replicated": Replicated, "sharded": Sharded}


def strategy_of(name: str, world: ProcessGroup) -> ParallelStrategy:
    """The strategy of `ComputeSettings.engine`; one process alone needs none."""
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


def on_meta(model: nn.Module) -> bool:
    """Whether any parameter of a model has a shape and no numbers, as those that `first_weights.deferred` builds."""
    return any(parameter.is_meta for parameter in model.parameters())


def full_tensor(value: Tensor) -> Tensor:
    """A tensor of which every process may hold a share, put together; all processes must call."""
    return value.full_tensor() if hasattr(value, "full_tensor") else value  # pyright: ignore


def full_state(tensors: dict[str, Tensor], kept: bool = True) -> dict[str, Tensor]:
    """The same of each, one after another; of a process that does not keep them nothing but one is in memory."""
    whole = ((name, full_tensor(value)) for name, value in tensors.items())
    return {name: value for name, value in whole if kept}


@torch.no_grad()
def copy_into_shards(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor into one of which this process may hold a share; no process waits for another."""
    if hasattr(target, "device_mesh"):
        from torch.distributed.tensor import distribute_tensor

        value = value.to(target.device)
        value = distribute_tensor(value, target.device_mesh, target.placements, src_data_rank=None)  # pyright: ignore
    target.copy_(value)
