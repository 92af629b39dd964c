"""First weights without the whole network: what a constructor does to its tensors is noted, and done later, tensor by tensor.

The constructor runs on tensors that have shapes and no numbers. Each of its operations is noted in
order. To have the numbers, the operations are done on the CPU in that order, from the same seed: they draw the same
numbers, so that the weights are those of the usual constructor bit for bit. A tensor is handed over after its last operation
and then dropped. In memory are the tensors between their first operation and their last, in the usual constructor one layer.

References:
    PyTorch, torch.utils._python_dispatch.TorchDispatchMode, https://docs.pytorch.org/docs/stable/notes/extending.html
    PyTorch, torchdistX, Deferred Module Initialization, 2022, https://docs.pytorch.org/torchdistx/latest/deferred_init.html (the idea)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from sde_diffusion.training.distributed.parallel import FIRST_WEIGHTS, copy_into_shards, on_meta

Module = TypeVar("Module", bound=nn.Module)


class NumbersNeeded(ValueError):
    """A constructor looks at the numbers of the tensors that it makes, or draws some by a seed of its own."""


def deferred(seed: int, make: Callable[[], Module]) -> Module:
    """What `make` gives, on the meta device, its first weights those of `make` under this seed once they are asked for.

    Only the sharded engine of several processes trains such a network: each process then makes its own share of every
    tensor and no other. Raises NumbersNeeded, a ValueError, for a constructor that looks at the numbers of its tensors, or
    draws some by a seed or a generator of its own.
    """
    without_numbers = FakeTensorMode()
    recorder = _Recorder(without_numbers, seed)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            with without_numbers, recorder:
                network = make()
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise NumbersNeeded(
            "the network looks at the numbers of its tensors while it is built, which it cannot without memory for all of "
            "them; build them in another way, or take engine='replicated'"
        ) from error
    object.__setattr__(network, FIRST_WEIGHTS, FirstWeights(network, recorder, seed))
    _to_meta(network)
    return network


class _Call(NamedTuple):
    """One operation: what it was called with, and the tensors without numbers that came of it."""

    operation: Any
    arguments: tuple
    options: dict[str, Any]
    results: Any


class _Recorder(TorchDispatchMode):
    """Notes each operation on tensors without numbers; tensors that come from outside are kept by their memory."""

    def __init__(self, without_numbers: FakeTensorMode, seed: int) -> None:
        super().__init__()
        self.without_numbers, self.seed = without_numbers, seed
        self.calls: list[_Call] = []
        self.given: dict[int, tuple[torch.UntypedStorage, Tensor]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func is torch.ops.aten.lift_fresh.default:  # torch.tensor(numbers), which may be looked at
            return self._given_as(func(*args), args[0])
        if (kwargs or {}).get("generator") is not None or torch.initial_seed() != self.seed:
            raise NumbersNeeded(
                "the network draws numbers by a seed or a generator of its own while it is built, which is not noted; draw them "
                "from torch's global one, or take engine='replicated'"
            )
        noted, named = tree_map(self.without, (args, kwargs or {}))
        results = func(*noted, **named)
        if any(isinstance(leaf, Tensor) for leaf in tree_leaves(results)) or func._schema.is_mutable:
            self.calls.append(_Call(func, noted, named, results))
        return results

    def without(self, value: Any) -> Any:
        """A tensor as one without numbers, which are kept; anything else as it is."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        return self._given_as(self.without_numbers.from_tensor(value), value)

    def _given_as(self, twin: Tensor, value: Tensor) -> Tensor:
        self.given.setdefault(_memory(twin), (value.untyped_storage(), twin))
        return twin


class FirstWeights:
    """The numbers that the tensors of a network on the meta device begin with."""

    def __init__(self, network: nn.Module, recorder: _Recorder, seed: int) -> None:
        self._calls, self._given, self._seed = recorder.calls, recorder.given, seed
        self._named: dict[int, list[tuple[str, Tensor]]] = {}
        for name, tensor in named_tensors(network):
            known = recorder.without(tensor)
            self._named.setdefault(_memory(known), []).append((name, known))

    def __deepcopy__(self, memo: dict) -> Self:
        """Itself, which never changes."""
        return self

    def write(self, target: Callable[[str, Tensor], None]) -> None:
        """Call `target` with the name and the numbers of each parameter and buffer, on the CPU, each dropped afterwards."""
        ended: dict[int, int] = {}
        for number, call in enumerate(self._calls):
            ended |= {_memory(leaf): number for leaf in _tensors(call)}
        memory = {key: numbers.clone() for key, (numbers, _) in self._given.items()}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(self._seed)
            self._hand_over(memory.keys() - ended.keys(), memory, target)
            for number, call in enumerate(self._calls):
                self._do(call, memory)
                self._hand_over({key for key in map(_memory, _tensors(call)) if ended[key] == number}, memory, target)

    def _hand_over(self, keys: set[int], memory: dict[int, torch.UntypedStorage], target: Callable) -> None:
        """Give the target the tensors of these memories, and drop them."""
        for key in keys:
            whole = memory.pop(key)
            for name, tensor in self._named.get(key, ()):
                target(name, _view(whole, tensor))

    def _do(self, call: _Call, memory: dict[int, torch.UntypedStorage]) -> None:
        """Do one operation on the numbers in `memory`, by the keys of `_memory`."""

        def real(value: Any) -> Any:
            return _view(memory[_memory(value)], value) if isinstance(value, Tensor) else value

        arguments, options = tree_map(real, (call.arguments, call.options))
        found = call.operation(*arguments, **options)
        for ours, theirs in zip(tree_leaves(call.results), tree_leaves(found), strict=True):
            if isinstance(ours, Tensor):
                memory.setdefault(_memory(ours), theirs.untyped_storage())


def materialise(module: nn.Module, device: torch.device) -> None:
    """Give the tensors of a module that are on the meta device memory on `device`, for this process's shares, and numbers.

    No process waits for another. Raises ValueError for a tensor without numbers, of a network that `deferred` has not built.
    """
    if not on_meta(module):
        return
    missing = {name for name, tensor in named_tensors(module) if tensor.is_meta}
    module._apply(lambda tensor: torch.empty_like(tensor, device=device) if tensor.is_meta else tensor)
    tensors = dict(named_tensors(module))
    for prefix, part in module.named_modules():
        first = getattr(part, FIRST_WEIGHTS, None)
        if first is not None:
            names = {name: f"{prefix}.{name}" if prefix else name for name, _ in named_tensors(part)}
            first.write(lambda name, value, names=names: copy_into_shards(tensors[names[name]], value))
            missing -= set(names.values())
    if missing:
        raise ValueError(
            f"{min(missing)} is on the meta device and nobody knows its first numbers; build the network with "
            "deferred(seed, make), or on the CPU"
        )


def _to_meta(network: nn.Module) -> None:
    """The tensors of a network as usual ones of the meta device, those with several names as one."""
    made: dict[int, Tensor] = {}
    for module in network.modules():
        for kept in (module._parameters, module._buffers):
            for name, tensor in kept.items():
                if tensor is not None:
                    kept[name] = made.setdefault(id(tensor), _on_meta(tensor))  # pyright: ignore


def _on_meta(tensor: Tensor) -> Tensor:
    found = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    return nn.Parameter(found, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else found


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All parameters and buffers, under each of their names."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _tensors(call: _Call) -> list[Tensor]:
    return [leaf for leaf in tree_leaves((call.arguments, call.options, call.results)) if isinstance(leaf, Tensor)]


def _memory(tensor: Tensor) -> int:
    """What tells the memory of one tensor from another's, as long as either lives."""
    return tensor.untyped_storage()._cdata


def _view(memory: torch.UntypedStorage, like: Tensor) -> Tensor:
    """The part of a memory that `like` is of its own."""
    found = torch.empty(0, dtype=like.dtype, device=memory.device)
    return found.set_(memory, like.storage_offset(), like.shape, like.stride())  # pyright: ignore
