"""Tar shards: the samples that webdataset finds, read by themselves, whatever is damaged named, nothing unpickled."""

from __future__ import annotations

import gc
import gzip
import io
import os
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sde_diffusion.data import by_name
from sde_diffusion.data.image_folder import ImageFolder
from sde_diffusion.data.image_shards import ImageShards
from sde_diffusion.data.pixels import to_levels
from sde_diffusion.data.shards import samples_of, shards_at
from sde_diffusion.data_paths import source_at

DRAWS = np.random.default_rng(3)
PICTURES = [DRAWS.integers(0, 256, (4, 6, 3), dtype=np.uint8) for _ in range(12)]
CLASSES = ["cat", "dog", "elk"]

pytestmark = pytest.mark.filterwarnings("ignore:.*items are held out")


def png(picture: np.ndarray) -> bytes:
    found = io.BytesIO()
    Image.fromarray(picture).save(found, "PNG")
    return found.getvalue()


def write(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return path


def usual(rows: range) -> list[tuple[str, bytes]]:
    """A picture, its class and a caption for each sample."""
    return [
        one
        for row in rows
        for one in (
            (f"{row:03d}.png", png(PICTURES[row])),
            (f"{row:03d}.cls", CLASSES[row % 3].encode()),
            (f"{row:03d}.txt", b"a caption"),
        )
    ]


@pytest.fixture
def shards(tmp_path) -> Path:
    """Twelve samples in two shards."""
    for number in range(2):
        write(tmp_path / f"part-{number}.tar", usual(range(6 * number, 6 * number + 6)))
    return tmp_path


def everything(source) -> dict[bytes, str]:
    """The class of each picture, by its levels."""
    found = {}
    for split in ("train", "held_out"):
        x, labels = source.tensors(split)
        for picture, label in zip(to_levels(x).byte(), labels.tolist(), strict=True):
            found[picture.numpy().tobytes()] = source.class_names[label]
    return found


def test_every_picture_has_its_class_and_any_order_gives_the_same(shards):
    source = by_name("image_shards", path=str(shards))
    assert (source.event_shape, source.levels, source.class_names) == ((3, 4, 6), 256, ("cat", "dog", "elk"))
    wanted = {picture.transpose(2, 0, 1).tobytes(): CLASSES[row % 3] for row, picture in enumerate(PICTURES)}
    assert everything(source) == wanted
    whole, labels = source.tensors("train")
    rows = torch.arange(source.size() - 1, -1, -1)
    again, others = pickle.loads(pickle.dumps(source)).batch(rows)
    assert torch.equal(again.flip(0), whole)
    assert torch.equal(others.flip(0), labels)


def test_it_is_the_folder_of_the_same_files(shards, tmp_path):
    """Every argument of how pictures are read means the same."""
    for row, picture in enumerate(PICTURES):
        place = tmp_path / "files" / CLASSES[row % 3]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{row}.png").write_bytes(png(picture))
    how = {"size": [2, 4], "channels": 1}
    assert everything(ImageShards(str(shards), **how)) == everything(ImageFolder(str(tmp_path / "files"), **how))


def test_a_member_is_held_out_by_its_name_alone(shards):
    before = {str(place) for place in ImageShards(str(shards), seed=4).files("held_out")[0]}
    write(shards / "a-third.tar", [("extra/1.png", png(PICTURES[0])), ("extra/2.png", png(PICTURES[1]))])
    after = {str(place) for place in ImageShards(str(shards), seed=4).files("held_out")[0]}
    assert before == {one for one in after if "third" not in one}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_finds_the_same_samples_in_the_same_order(tmp_path):
    wds = pytest.importorskip("webdataset")
    with wds.ShardWriter(str(tmp_path / "x-%03d.tar"), maxcount=5, verbose=0) as writer:
        for row, picture in enumerate(PICTURES):
            writer.write(
                {"__key__": f"a/b{row:03d}", "left.PNG": png(picture), "cls": str(row % 3).encode(), "json": b"{}"}
            )
    shards = shards_at(str(tmp_path))[1]
    assert len(shards) == 3
    theirs = list(wds.WebDataset([str(one) for one in shards], shardshuffle=False))
    gc.collect()  # it leaves its files open
    ours = [sample for shard in shards for sample in samples_of(shard)]
    assert [key for key, _ in ours] == [sample["__key__"] for sample in theirs]
    for (_, members), sample in zip(ours, theirs, strict=True):
        assert {kind: one.open().read() for kind, one in members.items()} == {
            kind: value for kind, value in sample.items() if not kind.startswith("__")
        }
    source = ImageShards(str(tmp_path))
    assert sorted(set(everything(source).values())) == ["0", "1", "2"]
    assert source.summary()["passed_over"] == {".json": 12}


@pytest.mark.parametrize(
    ("numbers", "names"),
    [([3, 0, 1], ("0", "1", "2", "3")), ([2024, 1999, 2024], ("1999", "2024")), (["b", "a", "b"], ("a", "b"))],
)
def test_numbers_of_classes_and_names_of_classes(tmp_path, numbers, names):
    write(tmp_path / "x.tar", [
        one for row, number in enumerate(numbers)
        for one in ((f"{row}.png", png(PICTURES[row])), (f"{row}.cls", f" {number}\n".encode()))
    ])  # fmt: skip
    source = ImageShards(str(tmp_path / "x.tar"))
    assert source.class_names == names
    wanted = {picture.transpose(2, 0, 1).tobytes(): str(n) for picture, n in zip(PICTURES, numbers, strict=False)}
    assert everything(source) == wanted


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize("kind", ["pkl", "pickle", "pyd", "pth", "pt"])
def test_nothing_is_unpickled(tmp_path, kind):
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    write(
        tmp_path / "x.tar", [one for i in range(4) for one in ((f"{i}.png", png(PICTURES[i])), (f"{i}.{kind}", trap))]
    )
    source = ImageShards(str(tmp_path / "x.tar"))
    assert len(source.tensors()[0]) > 0
    source.digest()
    assert source.summary()["passed_over"] == {f".{kind}": 4}
    write(tmp_path / "y.tar", [(f"{i}.{kind}", trap) for i in range(4)])
    with pytest.raises(ValueError, match=f"holds 0 pictures among 1 .{kind}; give one to each"):
        ImageShards(str(tmp_path / "y.tar")).size()
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists(), "the trap does not work"


def refusal(path: Path) -> str:
    """The one line with which shards are refused."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- whoever asks looks at the words
        ImageShards(str(path)).size()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_cut_and_every_damaged_header_is_noticed(shards, tmp_path):
    """tarfile alone takes most of them for the end of the archive."""
    whole = (shards / "part-0.tar").read_bytes()
    heads = [member.start - 512 for _, members in samples_of(shards / "part-0.tar") for member in members.values()]
    for head in heads:
        damaged = bytearray(whole)
        damaged[head + 150] ^= 1  # within the header's check sum
        (tmp_path / "x.tar").write_bytes(damaged)
        assert re.search(r"x\.tar' cannot be read as a tar shard", refusal(tmp_path / "x.tar"))
    data = max(i for i, byte in enumerate(whole) if byte)
    for cut in [*heads, *(head + 100 for head in heads), *(head + 600 for head in heads), data // 512 * 512 + 512]:
        (tmp_path / "x.tar").write_bytes(whole[:cut])
        assert re.search(r"x\.tar' cannot be read as a tar shard", refusal(tmp_path / "x.tar"))


def test_a_shard_that_is_cut_later_is_named(shards):
    source = ImageShards(str(shards))
    assert source.size()
    with open(shards / "part-1.tar", "r+b") as file:
        file.truncate(700)
    with pytest.raises(ValueError, match=r"part-1\.tar.* cut short"):
        source.tensors()
    with pytest.raises(ValueError, match=r"part-1\.tar.* cut short"):
        source.digest()


def test_what_is_no_shard_is_refused(shards, tmp_path):
    one, other = ((shards / f"part-{i}.tar").read_bytes() for i in range(2))
    (tmp_path / "x.tar").write_bytes(one + other)
    assert re.search("two shards in one file", refusal(tmp_path / "x.tar"))
    (tmp_path / "x.tar").write_bytes(gzip.compress(one))
    assert re.search("write it again, uncompressed", refusal(tmp_path / "x.tar"))
    write(tmp_path / "x.tar", [*usual(range(3)), *usual(range(1))])
    assert re.search("holds the sample '000' in two places", refusal(tmp_path / "x.tar"))
    write(tmp_path / "x.tar", [*usual(range(3)), ("003.png", png(PICTURES[3])), ("003.jpg", b"")])
    assert re.search("the sample '003' of .* holds 2 pictures among", refusal(tmp_path / "x.tar"))
    write(tmp_path / "x.tar", [*usual(range(3)), ("002.cls", b"cat")])
    assert re.search("holds '002.cls' twice", refusal(tmp_path / "x.tar"))
    write(tmp_path / "x.tar", [*usual(range(3)), ("003.png", png(PICTURES[3])), ("003.cls", b"\xff" * 3)])
    assert re.search(r"003\.cls' is no class", refusal(tmp_path / "x.tar"))
    write(tmp_path / "x.tar", usual(range(1)))
    assert re.search("holds 1 samples; give at least 2", refusal(tmp_path / "x.tar"))
    assert re.search(r"names 3 shards, and .*part-2\.tar' is not there", refusal(tmp_path / "part-{0..2}.tar"))
    assert re.search("more than 1,000,000 shards", refusal(tmp_path / "part-{0..9999999}.tar"))
    assert re.search("more than 1,000,000 shards", refusal(tmp_path / "part-{0..9999}-{0..9999}.tar"))
    assert re.search(r"holds no \.tar files", refusal(tmp_path / "missing-*.tar"))


def test_one_of_several_pictures_by_its_name(tmp_path):
    write(tmp_path / "x.tar", [
        one for row in range(0, 8, 2)
        for one in ((f"{row}.left.png", png(PICTURES[row])), (f"{row}.right.png", png(PICTURES[row + 1])))
    ])  # fmt: skip
    source = ImageShards(str(tmp_path / "x.tar"), image="right.png")
    found = torch.cat([to_levels(source.tensors(split)[0]).byte() for split in ("train", "held_out")])
    wanted = {PICTURES[row].transpose(2, 0, 1).tobytes() for row in (1, 3, 5, 7)}
    assert {one.numpy().tobytes() for one in found} == wanted


def test_a_path_says_that_they_are_shards(shards, tmp_path):
    for text in (str(shards), str(shards / "part-*.tar"), str(shards / "part-0.tar")):
        assert source_at(text) == {"name": "image_shards", "path": text}
    assert ImageShards(str(shards / "part-*.tar")).size() == ImageShards(str(shards)).size()
    (tmp_path / "a.png").write_bytes(png(PICTURES[0]))
    with pytest.raises(ValueError, match="2 shards and 1 other files of data"):
        source_at(str(tmp_path))


def test_samples_without_a_class_among_others(shards, tmp_path):
    write(tmp_path / "x.tar", [("9.png", png(PICTURES[0]))])
    assert ImageShards(str(tmp_path)).classes is None
    assert "1 of 13 samples have no .cls: there are no labels" in ImageShards(str(tmp_path)).summary()["notes"]
    with pytest.raises(ValueError, match=r"x\.tar/9\.png' of .* has no \.cls"):
        ImageShards(str(tmp_path), labels=True).classes  # noqa: B018
    assert ImageShards(str(shards), labels=False).classes is None
