"""The door for folders from outside: what is opened, how large it may be, and what it may hold.

Only JSON and safetensors are read, neither of which can run anything. A folder that also holds pickles is refused as a
whole, for whoever opens it next may not be so careful.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

PICKLES = {".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
LONGEST = 2**20  # bytes of a file of plain data
LARGEST = 2**20  # the largest whole number among a network's arguments: a width, a number of classes
DEEPEST, MOST = 8, 20_000  # how deep its lists and mappings go, and how many values it holds
BUFFERS = 2**26  # numbers that a network may compute for itself beside its weights


def check_folder(folder: Path, *rooms: str) -> None:
    """Raises ValueError unless `folder` is one without pickles, in itself and in its sub-folders `rooms`."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder; give one that save_pretrained or diffusers wrote, or a name on the Hub"
        )
    for place in (folder, *(folder / room for room in rooms)):
        for path in place.iterdir() if place.is_dir() else ():
            if path.suffix.lower() in PICKLES:
                raise ValueError(f"{path} may be a pickle, which can run code; take a folder of safetensors alone")


def read_plain(path: Path) -> dict[str, Any]:
    """The JSON object in a file, small and not deep. Raises ValueError, in a sentence, for anything else."""
    try:
        if not path.is_file() or path.stat().st_size > LONGEST:
            raise ValueError(f"there is no such file of at most {LONGEST} bytes")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError("it holds no JSON object")
        check_size(found)
    except (OSError, ValueError, RecursionError) as error:
        words = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ValueError(f"{path} cannot be read ({words}); take an undamaged copy") from error
    return found


def check_size(whole: Any) -> None:
    """Raises ValueError for data that hold more, or go deeper, than any description of a network."""
    for count, (_, depth) in enumerate(_values(whole)):
        if depth > DEEPEST or count >= MOST:
            raise ValueError(f"it holds more than {MOST} values, or nests them deeper than {DEEPEST}")


def check_numbers(whole: Any) -> None:
    """Raises ValueError for arguments with a whole number that no network needs, or a number that is not finite."""
    for value, _ in _values(whole):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise ValueError(f"it holds a whole number beyond {LARGEST}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("it holds a number that is not finite")


def _values(whole: Any) -> Iterator[tuple[Any, int]]:
    """All values in plain data with their depth, the outermost first."""
    rest = deque([(whole, 0)])
    while rest:
        value, depth = rest.popleft()
        yield value, depth
        if isinstance(value, dict | list | tuple):
            rest.extend((part, depth + 1) for part in (value.values() if isinstance(value, dict) else value))


Shapes = dict[str, tuple[int, ...]]


def read_shapes(path: Path) -> Shapes:
    """The shapes in a safetensors file, by name; its header alone is read. Raises ValueError for a damaged file.

    Lengths, shapes and offsets are checked against the file's size by the safetensors library itself.
    """
    with opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file, by name, on the CPU."""
    with opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file; ValueError, in a sentence, for whatever is wrong with it."""
    try:
        if not path.is_file():
            raise OSError("there is no such file")
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportArgumentType]
            yield file
    except (OSError, SafetensorError, RuntimeError, OverflowError, MemoryError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} holds no sound safetensors ({first}); take an undamaged copy") from error


def built(make: Any, path: Path, source: Path) -> Any:
    """The network that `make` makes, with the weights of the safetensors file at `path`, in their dtype.

    It is made without memory first and held against the file's shapes, so that a description of a huge network costs
    nothing; and its making is stopped when it has more parameters than the file. Raises ValueError for a description
    that cannot be built or is of another network.
    """
    there = read_shapes(path)
    with _at_most(len(there), source), torch.device("meta"):
        ghost = plainly(make, source)
    here = {name: tuple(value.shape) for name, value in ghost.state_dict().items()}
    if here != there:
        name = min(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        raise ValueError(
            f"{source} describes another network than {path.name} holds: {name} is {here.get(name, 'absent')} by the "
            f"one and {there.get(name, 'absent')} in the other; take an undamaged copy"
        )
    if sum(buffer.numel() for buffer in ghost.buffers()) > BUFFERS:
        raise ValueError(f"{source} describes a network for events too large to be true; take an undamaged copy")
    return _filled(make, read_tensors(path), source)


def _filled(make: Any, tensors: dict[str, Tensor], source: Path) -> nn.Module:
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(kinds) > 1:
        raise ValueError(
            f"the weights of {source.parent} are of several dtypes, {sorted(map(str, kinds))}; make them one"
        )
    with torch.random.fork_rng(devices=[]):
        network = plainly(make, source)
    if kinds != {parameter.dtype for parameter in network.parameters()}:
        network = network.to(*kinds)
    network.load_state_dict(tensors)
    return network


def plainly(make: Any, source: Path) -> Any:
    """What `make` makes; any complaint of a constructor about arguments from outside becomes one sentence."""
    try:
        return make()
    except Exception as error:
        words = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(f"{source} describes nothing that can be built ({words}); correct it") from error


@contextmanager
def _at_most(count: int, source: Path) -> Iterator[None]:
    """Within the block, modules that take more than `count` parameters, with some to spare, are refused."""
    left = 2 * count + 64

    def counted(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ValueError(f"{source.name} has more layers than there are weights")

    handle = nn.modules.module.register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        handle.remove()
