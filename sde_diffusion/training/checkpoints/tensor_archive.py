"""Files of `torch.save` from anybody: refused before they are opened when they could take more memory than they show.

torch.load with weights_only=True runs no code, but it inflates what is deflated, reads a storage once for each name that
the archive lists for it, and calls harmless names such as `bytearray`, which needs no file to become large.
"""

from __future__ import annotations

import os
import pickletools
import re
import zipfile
from pathlib import Path

_TENSORS = re.compile(r"torch\._utils _rebuild_tensor_v2|collections OrderedDict|torch [A-Za-z0-9]+Storage")
"""The names by which torch.save pickles tensors."""


def refuse_more_than_tensors(path: Path) -> None:
    """Raises ValueError unless the file is an archive of tensors and plain values, stored side by side as they are."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > os.path.getsize(path):
            raise ValueError("its entries lie on top of each other")
        for entry in entries:
            if entry.filename.endswith("data.pkl"):
                _check_names(archive.read(entry))


def _check_names(pickled: bytes) -> None:
    for opcode, name, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL" and not _TENSORS.fullmatch(str(name)):
            raise ValueError(f"it names {name}, which is no tensor")
