"""Nothing in a solver's loop may wait for the device: a copy to the host, or a branch on a tensor, stalls an accelerator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

T = TypeVar("T")

READS = {"aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::equal", "aten::masked_select"}
MASKABLE = {"aten::index", "aten::index_put_", "aten::index_put"}  # a mask is counted on the host
COPIES = {"aten::_to_copy", "aten::copy_"}


class HostReads(TorchDispatchMode):
    """Notes, on any device, the operations that would make an accelerator wait; `reads` are their names, in order.

    On the CPU copies to the host look like any others: only reads of values are noted there.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note the operation and run it."""
        result, name = func(*args, **(kwargs or {})), func._schema.name
        masked = name in MASKABLE and any(mask.dtype == torch.bool for mask in tree_leaves(args[1]) if mask is not None)
        if name in READS or masked or (name in COPIES and _leaves(args, result)):
            self.reads.append(name.removeprefix("aten::"))
        return result


def host_reads(run: Callable[[], T]) -> tuple[T, list[str]]:
    """What a call returns, and the operations in it that would wait for an accelerator."""
    with HostReads() as watch:
        result = run()
    return result, watch.reads


def _leaves(args: Any, result: Any) -> bool:
    """Whether a copy goes from an accelerator to the host."""
    source = [value.device for value in tree_leaves(args) if isinstance(value, Tensor)]
    goal = [value.device for value in tree_leaves(result) if isinstance(value, Tensor)]
    return any(d.type != "cpu" for d in source) and any(d == torch.device("cpu") for d in goal)
