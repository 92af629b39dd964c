"""Checkpoints in shares: each process writes what it holds, and any number of processes goes on from them.

    shares/step-000500/shard-00001-model-00001-of-00001.safetensors, ...    what each process held, with its place in the whole
    shares/step-000500/state.json, manifest.json                           as in a checkpoint of whole tensors

They are written and read by `torch.distributed.checkpoint` in its safetensors format, not in its usual one, whose metadata is
a pickle: nothing is unpickled here. A process writes one of its files after another, and needs memory for one. No process holds a whole tensor of another's. They serve to go on with a run; other
commands read checkpoints of whole tensors.

References:
    PyTorch, torch.distributed.checkpoint, https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from sde_diffusion.io.atomic import new_folder, to_json
from sde_diffusion.io.tensor_file import Kind
from sde_diffusion.training.checkpoints import manifest
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.checkpoints.tensors import Tensors, read_object, same_kinds
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.errors import first_line

FILES, SMALLEST = 16, 2**26
"""How many files a process writes at most; how many bytes are in one of several at least, but in the last."""

_STATE, _SHARES = "state.json", r"shard-\d+-model-\d+-of-\d+\.safetensors"


def save(folder: Path, step: int, tensors: Tensors, state: dict[str, Any], world: ProcessGroup) -> Path:
    """Write `folder/step-NNNNNN`, each process its own shares; all must call. The path, once the disk holds it.

    Raises OSError of one sentence in the main process, and PeerError in the others, and leaves nothing behind, when it cannot
    be written.
    """
    path = manifest.place(folder, step)
    with _drafted(path, world) as draft:
        _write(draft, tensors, world)
        world.run_on_main(lambda: _list(draft, step, state))
    return path


def latest(folder: Path) -> Path | None:
    """The newest ones that verify, None when there are none at all; see `manifest.newest_whole`."""
    return manifest.newest_whole(folder, verify)


def verify(path: Path) -> None:
    """CheckpointError unless each file has the size and SHA-256 of the manifest, and there is no file beside them."""
    names = manifest.verify(path, {_STATE}, _SHARES)
    strangers = {one.name for one in path.iterdir()} - names - {manifest.NAME}
    if strangers or len(names) < 2:
        raise CheckpointError(f"{path} is foreign: {min(strangers, default='its shares')} is not in its list")


def read_state(path: Path) -> dict[str, Any]:
    """The state of shares that `latest` has verified."""
    return read_object(path / _STATE)


def names_in(path: Path) -> set[str]:
    """The names of the tensors in shares that `latest` has verified."""
    return set(_reader(path).read_metadata().state_dict_metadata)


def fill(path: Path, tensors: Tensors) -> None:
    """Read into tensors, of which this process may hold shares, from shares that `latest` has verified; nobody waits.

    Raises CheckpointError unless those of these names, shapes and dtypes are there, and no others.
    """
    from torch.distributed.checkpoint.state_dict_loader import load

    try:
        found = _reader(path).read_metadata().state_dict_metadata
        kinds = {name: (tuple(one.size), one.properties.dtype) for name, one in found.items()}  # pyright: ignore
        same_kinds(kinds, {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}, path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
            load(dict(tensors), storage_reader=_reader(path), no_dist=True)
    except CheckpointError:
        raise
    except Exception as error:  # what torch and safetensors raise for files of another kind
        raise CheckpointError(f"{path} is foreign: it holds no shares of tensors ({first_line(error)})") from error


class Opened:
    """Shares whose tensors are put together one at a time."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._metadata, self._stack, self._files = _reader(path).read_metadata(), stack, {}
        found = self._metadata.state_dict_metadata
        self.kinds: dict[str, Kind] = {
            name: (tuple(one.size), one.properties.dtype)  # pyright: ignore
            for name, one in found.items()
        }

    def whole(self, name: str) -> Tensor:
        """The tensor of this name, on the CPU."""
        from torch.distributed.checkpoint.metadata import MetadataIndex

        shape, dtype = self.kinds[name]
        found = torch.empty(shape, dtype=dtype)
        for chunk in self._metadata.state_dict_metadata[name].chunks:  # pyright: ignore
            file = self._metadata.storage_data[MetadataIndex(name, chunk.offsets)].relative_path
            places = tuple(slice(begin, begin + size) for begin, size in zip(chunk.offsets, chunk.sizes, strict=True))
            found[places] = self._open(file).get_tensor(name)
        return found

    def _open(self, file: str) -> Any:
        if file not in self._files:
            self._files[file] = self._stack.enter_context(safe_open(file, framework="pt"))
        return self._files[file]


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """For the length of the block, shares that `latest` has verified."""
    with ExitStack() as stack:
        yield Opened(path, stack)


def _reader(path: Path) -> Any:
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    return HuggingFaceStorageReader(os.fspath(path))


def _write(draft: Path, tensors: Tensors, world: ProcessGroup) -> None:
    """All processes write into one folder. Raises OSError on all where one could not."""
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    files = files_of({name: value.numel() * value.itemsize for name, value in tensors.items()}, world.size)
    writer = HuggingFaceStorageWriter(os.fspath(draft), files, save_distributed=True)
    try:
        save(
            {name: value.detach() for name, value in tensors.items()},
            storage_writer=writer,
            process_group=world.control,
        )
    except (CheckpointException, OSError, SafetensorError, RuntimeError) as error:
        raise OSError(
            f"{draft} was not saved ({first_line(error)}); earlier ones stand: make room, then resume"
        ) from error


def files_of(sizes: dict[str, int], processes: int) -> dict[str, int]:
    """The number of each tensor's file, from 1, for tensors of so many bytes: a file is copied in memory to be written.

    A process has at most `FILES` of about equal size, and none of less than `SMALLEST` bytes but the last.
    """
    most = max(processes * SMALLEST, sum(sizes.values()) / FILES)
    ends = itertools.accumulate(sizes.values())
    return {name: 1 + int((end - size) / most) for (name, size), end in zip(sizes.items(), ends, strict=True)}


def _list(draft: Path, step: int, state: dict[str, Any]) -> None:
    (draft / _STATE).write_bytes(to_json(state))
    manifest.write(draft, step)


@contextmanager
def _drafted(path: Path, world: ProcessGroup) -> Iterator[Path]:
    """The main process makes a folder beside the path, and gives it that name when the block ends well on all."""
    making = new_folder(path)
    draft = Path(world.run_on_main(lambda: os.fspath(making.__enter__())))
    try:
        yield draft
    except BaseException as error:
        if world.is_main:
            making.__exit__(type(error), error, error.__traceback__)
        raise
    world.run_on_main(lambda: making.__exit__(None, None, None))
