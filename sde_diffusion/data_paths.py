"""Data of one's own by a path alone: which data source reads what lies there, by its suffix or by the files in it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from sde_diffusion.specs import Spec, spec

READERS = {
    ".npy": "array_file", ".npz": "array_file", ".safetensors": "array_file",
    ".tar": "image_shards",
    ".csv": "table_file", ".tsv": "table_file", ".parquet": "table_file",
}  # fmt: skip
"""The data source of a file, by its suffix."""

SHARDS = "image_shards"
PREFIXES = {"stream": "shard_stream", "hf": "hugging_face_stream"}
"""What may stand before a path: `stream:x.tar` reads pictures one after another too, `hf:folder` a data set of `datasets`."""

SIGNALS = (".npy", ".wav")
KINDS = {suffix: "signals" for suffix in SIGNALS} | {".tar": "shards"}
PLACES = ("root", "path")
"""The arguments of data sources that are places on the disk."""


def source_at(text: str) -> Spec | None:
    """The data source for the file or the folder at a path; None for a text that is no path of data.

    Raises ValueError for a folder in which there is nothing to read, or two kinds of data.
    """
    prefix, _, place = text.partition(":")
    if prefix in PREFIXES and place and "(" not in text:
        return spec(PREFIXES[prefix], path=place)
    reader = READERS.get(os.path.splitext(text)[1].lower())
    if reader is not None and "(" not in text:
        return spec(_reader_of_shards(text) if reader == SHARDS else reader, path=text)
    if not text or "\0" in text or not Path(text).is_dir() or _is_name(text):
        return None
    return _folder(text)


def absolute(part: Spec) -> Spec:
    """The spec of a data source whose places do not depend on the working directory."""
    return {name: os.path.abspath(value) if name in PLACES else value for name, value in part.items()}


def read_alike(part: Spec, own: Spec | None) -> Spec:
    """The data source of a spec with the arguments that a run's own data have, where it names a place alone of their kind."""
    place = {name: part[name] for name in PLACES if name in part}
    if own is None or own["name"] != part["name"] or len(place) != len(part) - 1:
        return part
    return {**own, **place}


def _is_name(text: str) -> bool:
    """Whether a folder is called as a data set, which then is what the name means."""
    from sde_diffusion.plugins import choices, snake

    return snake(text) in choices("data set")


def _folder(text: str) -> Spec:
    """By the files in it and in its folders, hidden ones apart."""
    from sde_diffusion.data.picture_folder import is_litter
    from sde_diffusion.data.pictures import SUFFIXES

    def kind(path: Path) -> str:
        if any(map(is_litter, path.relative_to(text).parts)):
            return "hidden"
        suffix = path.suffix.lower()
        return "pictures" if suffix in SUFFIXES else KINDS.get(suffix, "others")

    kinds = Counter(map(kind, Path(text).rglob("*")))
    pictures, signals = kinds["pictures"], kinds["signals"]
    if kinds["shards"]:
        return _shards(text, kinds)
    if pictures and signals:
        raise ValueError(
            f"{text!r} holds {pictures} pictures and {signals} signals; write --data image_folder --data.root {text}, or "
            f"--data signal_folder --data.root {text}"
        )
    if not pictures and not signals:
        raise ValueError(
            f"{text!r} holds no pictures ({', '.join(SUFFIXES)}), no signals ({', '.join(SIGNALS)}) and no shards "
            "(.tar); name a folder of one of them"
        )
    return spec("image_folder" if pictures else "signal_folder", root=text)


def _shards(text: str, kinds: Counter[str]) -> Spec:
    if kinds["pictures"] or kinds["signals"]:
        raise ValueError(
            f"{text!r} holds {kinds['shards']} shards and {kinds['pictures'] + kinds['signals']} other files of data; write "
            f"--data image_shards --data.path {text} for the shards, or name the folder of the files"
        )
    return spec(_reader_of_shards(text), path=text)


def _reader_of_shards(text: str) -> str:
    """Pictures are read at random places, other samples one after another; what cannot be read is left to the reader."""
    from sde_diffusion.data.pictures import SUFFIXES
    from sde_diffusion.data.shards import samples_of, shards_at

    try:
        _, members = next(samples_of(shards_at(text)[1][0]), ("", {}))
    except ValueError:
        return SHARDS
    pictures = any(os.path.splitext(one.name)[1].lower() in SUFFIXES for one in members.values())
    return SHARDS if pictures or not members else PREFIXES["stream"]
