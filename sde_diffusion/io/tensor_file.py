"""A safetensors file written tensor by tensor, so that one of them is in memory at a time: the bytes of `save_file`.

References:
    Hugging Face, safetensors, "Format", https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int16: "I16", torch.int32: "I32", torch.int64: "I64", torch.float32: "F32", torch.float64: "F64",
}  # fmt: skip
_ORDER = ("BOOL", "U8", "I8", "I16", "F16", "BF16", "I32", "F32", "F64", "I64")

Kind = tuple[tuple[int, ...], torch.dtype]
"""The shape and the dtype of a tensor."""


def write_tensors(path: Path, kinds: Mapping[str, Kind], read: Callable[[str], Tensor]) -> None:
    """Write the tensors of these names and kinds, each `read(name)` on the CPU, called once, and dropped after it.

    Raises ValueError for a dtype that the format has no name for here, or a tensor of another kind; OSError where it cannot
    be written.
    """
    names = sorted(kinds, key=lambda name: (-_ORDER.index(_named(name, kinds[name][1])), name))
    header, end = {}, 0
    for name in names:
        shape, dtype = kinds[name]
        begin, end = end, end + math.prod(shape) * dtype.itemsize
        header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(_bytes(name, read(name), kinds[name]))


def _named(name: str, dtype: torch.dtype) -> str:
    if dtype not in _NAMES:
        raise ValueError(f"{name} is {dtype}, which these files do not hold; make it one of {', '.join(_ORDER)}")
    return _NAMES[dtype]


def _bytes(name: str, value: Tensor, kind: Kind) -> Any:
    """The numbers of a tensor as its memory, row by row."""
    if (tuple(value.shape), value.dtype) != kind:
        raise ValueError(
            f"{name} is {value.dtype} of shape {tuple(value.shape)}, not {kind[1]} {kind[0]}; write it as it is"
        )
    return memoryview(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy())  # pyright: ignore
