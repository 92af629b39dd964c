"""Pictures from anybody: a bomb, a damaged file of any format, a pipe, another program's format: one sentence that names the
file, from the folder of a data set and from the samples given to `evaluate`.
"""

from __future__ import annotations

import io
import os
import random
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from sde_diffusion.cli.load_samples import load_samples
from sde_diffusion.data import by_name
from sde_diffusion.data.pictures import read_picture
from tests.faults.conftest import attempted

__all__ = ["attempted"]

LEVELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "BMP": "bmp", "PPM": "ppm", "TIFF": "tif", "GIF": "gif"}


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(LEVELS).save(file, kind)
    return file.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """A small file that claims a size."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(b"\0")) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + body


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(canary) (w) file closefile\nshowpage\n%%EOF\n"
HOSTILE = {
    "bomb.png": png(60_000, 60_000),
    "huge.png": png(2**31 - 1, 2**31 - 1),
    "words.ppm": b"P6 K2 8 255\n" + bytes(192),
    "large.ppm": b"P6 60000 60000 255\n" + bytes(192),
    "header.bmp": b"BM" + bytes(200),
    "program.png": EPS,
    "empty.png": b"",
    "text.webp": b"no picture",
}


def images(folder: Path) -> Path:
    """A folder of classes with two sound pictures."""
    (folder / "class").mkdir(parents=True)
    for index in range(2):
        (folder / "class" / f"{index}.png").write_bytes(encoded("PNG"))
    return folder


def refusals(folder: Path, name: str) -> list[str]:
    """What the two readers say to the folder."""
    said = []
    source = by_name("image_folder", root=str(folder), side=8)
    for read in (lambda: [source.tensors(split) for split in ("train", "held_out")],
                 lambda: load_samples(folder / "class", (3, 8, 8))):  # fmt: skip
        with pytest.raises(ValueError, match="cannot be read as a picture") as caught:
            read()
        said.append(str(caught.value))
    assert all(name in words and "\n" not in words for words in said)
    return said


@pytest.mark.parametrize("name", [name for name in HOSTILE if not name.endswith("ppm")])
def test_a_picture_that_does_harm_is_one_sentence_with_its_name(tmp_path, monkeypatch, name):
    (images(tmp_path / "p") / "class" / name).write_bytes(HOSTILE[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")  # what PIL starts for PostScript
    (tmp_path / "gs").chmod(0o755)
    refusals(tmp_path / "p", name)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("name", [name for name in HOSTILE if name.endswith("ppm")])
def test_the_same_of_a_format_that_only_data_sets_have(tmp_path, name):
    (tmp_path / name).write_bytes(HOSTILE[name])
    with pytest.raises(ValueError, match=rf"{name}' cannot be read as a picture"):
        read_picture(tmp_path / name)


def waited(*_: object) -> None:
    raise TimeoutError("it waits for somebody who writes")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no such pipes")
def test_a_pipe_or_a_link_to_nothing_is_refused_and_waits_for_nobody(tmp_path):
    os.mkfifo(images(tmp_path / "p") / "class" / "x.png")
    before = signal.signal(signal.SIGALRM, waited)
    signal.setitimer(signal.ITIMER_REAL, 3.0, 3.0)  # for readers that open it
    try:
        assert all("it is no file" in words for words in refusals(tmp_path / "p", "x.png"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    (tmp_path / "p" / "class" / "x.png").unlink()
    (tmp_path / "p" / "class" / "x.png").symlink_to(tmp_path / "nothing")
    refusals(tmp_path / "p", "x.png")


@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.parametrize("attempts", [40, pytest.param(300, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("kind", SUFFIXES)
def test_random_damage_is_a_picture_or_a_sentence(tmp_path, attempted, kind, attempts):
    """Bytes exchanged, the end cut off."""
    whole, drawn, path = encoded(kind), random.Random(7), tmp_path / f"x.{SUFFIXES[kind]}"
    said = []

    def attempt(_: int) -> None:
        damaged = bytearray(whole)
        for _ in range(drawn.randint(1, 6)):
            damaged[drawn.randrange(min(len(whole), 120))] = drawn.randrange(256)
        path.write_bytes(damaged[: drawn.choice([len(whole), drawn.randrange(len(whole))])])
        said.extend(refusal(path))
        assert all(path.name in words and "\n" not in words for words in said[-1:])

    attempted(range(attempts), attempt)
    assert len(said) > attempts / 4


def refusal(path: Path) -> list[str]:
    """What the reader says, if it does not read the file."""
    try:
        read_picture(path)
    except ValueError as error:
        return [str(error)]
    except Exception as error:  # no refusal: a failed attempt
        pytest.fail(f"{type(error).__name__}: {error}")
    return []


@pytest.mark.parametrize("kind", SUFFIXES)
def test_every_format_is_read(tmp_path, kind):
    path = tmp_path / f"x.{SUFFIXES[kind]}"
    path.write_bytes(encoded(kind))
    with Image.open(path) as wanted:
        assert np.array_equal(np.array(read_picture(path)), np.array(wanted.convert("RGB")))
    if kind in ("PNG", "BMP", "PPM", "TIFF"):
        assert np.array_equal(np.array(read_picture(path)), LEVELS)
