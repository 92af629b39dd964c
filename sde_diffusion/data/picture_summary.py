"""What a folder of pictures holds, and what becomes of its files: counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

from sde_diffusion.data.picture_fit import crop_size, shrunk_size
from sde_diffusion.data.pictures import Header

if TYPE_CHECKING:
    from sde_diffusion.data.picture_format import PictureFormat

SHOWN = 8
"""How many sizes are listed."""


def size_words(headers: Collection[Header]) -> dict[str, int]:
    """How many files are of each size, "WIDTH x HEIGHT", the most common first; the rest of many sizes as one."""
    sizes = Counter(f"{header.size[0]} x {header.size[1]}" for header in headers).most_common()
    rest = sum(count for _, count in sizes[SHOWN:])
    return dict(sizes[:SHOWN]) | ({f"of {len(sizes) - SHOWN} more sizes": rest} if rest else {})


def changes(headers: Collection[Header], wanted: PictureFormat) -> dict[str, int]:
    """How many files are changed in which way; a change that none undergoes is left out."""
    found: Counter[str] = Counter()
    for header in headers:
        found.update(_of_shape(header, wanted.size, wanted.fit))
        found.update(_of_colour(header, wanted.channels, wanted.levels))
    return dict(found)


def _of_shape(header: Header, size: tuple[int, int], fit: str) -> list[str]:
    whole = (header.size[1], header.size[0])
    if whole == size:
        return []
    inner = crop_size(size, whole) if fit == "crop" else whole
    outer = size if fit == "crop" else shrunk_size(size, whole)
    done = {
        "cropped": inner != whole,
        "enlarged": outer[0] > inner[0] or outer[1] > inner[1],
        "shrunk": outer[0] < inner[0] or outer[1] < inner[1],
        "padded": outer != size,
    }
    return [word for word, true in done.items() if true]


def _of_colour(header: Header, channels: int, levels: int | None) -> list[str]:
    done = {
        "turned grey": channels == 1 and not header.grey,
        "grey made colour": channels > 1 and header.grey,
        "laid over the background": channels < 4 and header.alpha,
        "made opaque": channels == 4 and not header.alpha,
        "rounded to 8 bits": header.top not in (255, None) and levels == 256,
        "only the first page or frame read": header.pages > 1,
    }
    return [word for word, true in done.items() if true]
