"""Members of tar shards as arrays and texts. Nothing is unpickled, and nothing larger than its member is made room for."""

from __future__ import annotations

import zipfile
from typing import IO, Any

import numpy as np

from sde_diffusion.data.shards import Member
from sde_diffusion.io.plain import LONGEST, parse_json

ARRAYS, LARGEST_ARRAY = (".npy", ".npz"), 2**31
"""The suffixes of arrays, and the most bytes of one."""


def array_of(member: Member, key: str | None = None) -> np.ndarray:
    """The array in a .npy; in a .npz that of the `key`, or the only one. Raises ValueError that names the member."""
    try:
        with member.open() as file:
            return _npz(file, key) if member.name.lower().endswith(".npz") else _npy(file, member.size)
    except Exception as error:  # what numpy and zipfile raise for damage is of any kind
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{str(member)!r} cannot be read as an array ({words}); save it again") from error


def text_of(member: Member, longest: int = LONGEST) -> str:
    """The text in a member, without blanks around it. Raises ValueError for one that is empty, too long or no text."""
    try:
        found = member.open().read().decode().strip() if member.size <= longest else ""
    except (UnicodeDecodeError, OSError):
        found = ""
    if not found:
        raise ValueError(f"{str(member)!r} is empty, no text, or longer than {longest} bytes; write a text in UTF-8")
    return found


def json_of(member: Member, path: str) -> Any:
    """What a JSON object has under a dotted path, such as size.width. Raises ValueError that names the member."""
    try:
        found = parse_json(member.open().read() if member.size <= LONGEST else b" " * (LONGEST + 1), LONGEST)
        for name in path.split("."):
            found = found[name]
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{str(member)!r} has no {path!r} in a JSON object; write it, or name another field"
        ) from error


def _npz(file: IO[bytes], key: str | None) -> np.ndarray:
    with zipfile.ZipFile(file) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}
        if key is None and len(names) != 1:
            raise ValueError(
                f"it holds {len(names)} arrays, {', '.join(names)}; name one, such as npz:{min(names, default='x')}"
            )
        if key is not None and key not in names:
            raise ValueError(f"it holds no {key!r}, but {', '.join(names)}")
        name = names[min(names) if key is None else key]
        with archive.open(name) as one:
            return _npy(one, archive.getinfo(name).file_size)


def _npy(file: Any, size: int) -> np.ndarray:
    """An array, once its header asks for no more than the bytes that follow."""
    version = np.lib.format.read_magic(file)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"its version is {version}")
    shape, columns_first, dtype = read(file)
    count = int(np.prod([1, *shape], dtype=object))
    if dtype.hasobject or dtype.names or count * dtype.itemsize > min(size, LARGEST_ARRAY):
        raise ValueError(f"it says that it holds {dtype} of shape {shape}")
    found = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return found.reshape(shape, order="F" if columns_first else "C")
