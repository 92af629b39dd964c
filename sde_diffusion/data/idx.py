"""The idx format of MNIST: two zero bytes, the type 8 (unsigned byte), the rank, the sizes (big-endian, 4 bytes each), the bytes.

References:
    LeCun, Cortes & Burges, The MNIST database of handwritten digits, 1998, section "File formats",
        http://yann.lecun.com/exdb/mnist
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST = 2_000_000
"""The largest number of items that is believed: EMNIST's largest part has 814,255."""


def read_idx(path: Path, event_shape: tuple[int, ...]) -> Tensor:
    """The items (N, *E) uint8 of `path`, or of the gzipped file beside it with `.gz` at the end of its name.

    Raises FileNotFoundError where there is neither, ValueError for a damaged file and for items of another shape.
    """
    zipped = path.with_name(f"{path.name}.gz")
    if not path.is_file() and not zipped.is_file():
        raise FileNotFoundError(
            f"neither {path.name} nor {zipped.name} is in {path.parent.name}, without download=True"
        )
    try:
        with open(path, "rb") if path.is_file() else gzip.open(zipped, "rb") as file:
            return _items(file, event_shape)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name if path.is_file() else zipped.name}: {error}") from error


def _items(file: Any, event_shape: tuple[int, ...]) -> Tensor:
    count, found = _head(file)
    if found != event_shape:
        raise ValueError(f"it holds items of shape {found}, not {event_shape}")
    if count > MOST:
        raise ValueError(f"it claims {count} items, more than {MOST}")
    wanted = count * math.prod(event_shape)
    data = file.read(wanted)
    if len(data) < wanted or file.read(1):
        raise ValueError(f"its header says {wanted} bytes, and it holds {'more' if len(data) == wanted else len(data)}")
    return torch.from_numpy(np.frombuffer(data, np.uint8).copy()).reshape(count, *event_shape)


def _head(file: Any) -> tuple[int, tuple[int, ...]]:
    """N and E. Raises ValueError for another format or type."""
    zeros, kind, rank = struct.unpack(">HBB", _exactly(file, 4))
    if zeros or kind != 8 or not 1 <= rank <= 3:
        raise ValueError("it is no idx file of unsigned bytes")
    count, *shape = struct.unpack(f">{rank}I", _exactly(file, 4 * rank))
    return count, tuple(shape)


def _exactly(file: Any, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise ValueError(f"it ends in its header, after {len(data)} of {size} bytes")
    return data
