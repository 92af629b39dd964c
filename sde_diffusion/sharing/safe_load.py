"""Reading a folder from anybody: what is opened, how large it may be, and what it may hold.

Only JSON (`io.plain`) and safetensors are read, neither of which can run code. A folder that holds pickles is refused,
because another program may open them. The exception is a `.bin` beside safetensors, as older repositories have it: it is
not opened, and a warning names it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from sde_diffusion.io.atomic import named
from sde_diffusion.io.finite import refuse_weights_not_finite

PICKLES = {".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
BUFFERS = 2**26  # numbers that a network may compute for itself beside its weights


def check_folder(folder: Path, *within: str) -> None:
    """Raises ValueError unless `folder` is one without pickles, in itself and in its sub-folders `within`.

    A `.bin` in a folder that holds safetensors too is passed over with a UserWarning.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder; give one that save_pretrained or diffusers wrote, or a name on the Hub"
        )
    for place in (folder, *(folder / name for name in within)):
        files = list(place.iterdir()) if place.is_dir() else []
        safe = any(path.suffix == ".safetensors" for path in files)
        for path in (path for path in files if path.suffix.lower() in PICKLES):
            if not (safe and path.suffix.lower() == ".bin"):
                raise ValueError(f"{path} may be a pickle, which can run code; take a folder of safetensors alone")
            warnings.warn(f"{path} may be a pickle and is not opened; the safetensors beside it are read", stacklevel=3)


def check_free(folder: Path) -> None:
    """Raises FileExistsError unless a new folder can be written here: nothing is there, or an empty folder."""
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise FileExistsError(f"{folder} exists and is not empty; name another folder, or move this one away")


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Names the folder in an error of its writing: an OSError, also for what safetensors says of a full disk."""
    try:
        with named(folder):
            yield
    except SafetensorError as error:
        raise OSError(f"{folder} was not written ({error}); make room, or name another folder") from error


Shapes = dict[str, tuple[int, ...]]


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says beside its tensors. Raises ValueError for a damaged file."""
    with opened(path) as file:
        return file.metadata() or {}


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


def built(make: Any, path: Path, source: Path, dtype: torch.dtype | None = torch.float32) -> Any:
    """The network that `make` makes, with the weights of the safetensors file at `path`, as `dtype`; None: as stored.

    It is made without memory first and held against the file's shapes, so that a description of a huge network costs
    nothing; and its making is stopped when it has more parameters than the file. Raises ValueError for a description
    that cannot be built or is of another network, FloatingPointError for weights that are NaN or infinite as `dtype`.
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
        raise ValueError(f"{source} describes a network for samples too large to be true; take an undamaged copy")
    return _filled(make, read_tensors(path), path, source, dtype)


def _filled(make: Any, tensors: dict[str, Tensor], path: Path, source: Path, dtype: torch.dtype | None) -> nn.Module:
    kinds = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
    if len(kinds) > 1:
        raise ValueError(
            f"the weights of {source.parent} are of several dtypes, {sorted(map(str, kinds))}; make them one"
        )
    with torch.random.fork_rng(devices=[]):
        network = plainly(make, source)
    for name, value in network.state_dict().items():
        if value.is_floating_point() != tensors[name].is_floating_point():
            raise ValueError(
                f"{name} of {source.parent} is {tensors[name].dtype}, and weights are floating-point numbers; save them again"
            )
    wanted = dtype or next(iter(kinds), torch.float32)
    if any(parameter.dtype != wanted for parameter in network.parameters()):
        network = network.to(wanted)
    network.load_state_dict(tensors)
    refuse_weights_not_finite(network.state_dict(), path)
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
