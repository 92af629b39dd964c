"""Folders of pictures: what is found, what shape follows, what is said, and a split that stays."""

from __future__ import annotations

import os
import pickle
import random
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sde_diffusion.cli.load_samples import load_samples
from sde_diffusion.data import by_name
from sde_diffusion.data.image_folder import ImageFolder
from sde_diffusion.data.pictures import read_header, read_picture
from sde_diffusion.data.pixels import bin_width, to_levels
from sde_diffusion.resolver import build, spec_of
from sde_diffusion.specs import parse


def save(path: Path, pixels: np.ndarray | int, size: tuple[int, int] = (6, 4), **more) -> Path:
    """A picture of given pixels, or of one grey on (W, H)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("L", size, pixels) if isinstance(pixels, int) else Image.fromarray(pixels)
    picture.save(path, **more)
    return path


def folder(root: Path, names: list[str]) -> ImageFolder:
    """A source over pictures whose grey is their place in the list."""
    for grey, name in enumerate(names):
        save(root / name, grey)
    return ImageFolder(str(root))


def names_of(source: ImageFolder, split: str) -> set[str]:
    return {path.relative_to(source.root).as_posix() for path in source.files(split)[0]}


def test_a_flat_folder_of_grey_rectangles_is_what_it_is(tmp_path):
    source = folder(tmp_path, [f"{i}.png" for i in range(5)])
    assert (source.event_shape, source.levels, source.classes, source.class_names) == ((1, 4, 6), 256, None, None)
    parts = [source.tensors(split) for split in ("train", "held_out")]
    assert all(labels is None for _, labels in parts)
    greys = torch.cat([to_levels(x)[:, 0, 0, 0] for x, _ in parts])
    assert sorted(greys.tolist()) == [0, 1, 2, 3, 4]
    assert source.summary()["changes"] == {}


def test_classes_are_the_first_folders_whatever_lies_deeper(tmp_path):
    source = folder(tmp_path, ["b/x/0.png", "b/1.png", "a/y/z/2.png", "b/x/3.png"])
    assert (source.classes, source.class_names) == (2, ("a", "b"))
    found = {}
    for split in ("train", "held_out"):
        x, labels = source.tensors(split)
        found |= dict(zip(to_levels(x)[:, 0, 0, 0].tolist(), labels.tolist(), strict=True))
    assert found == {0: 1, 1: 1, 2: 0, 3: 1}
    assert source.summary()["classes"] == {"a": 1, "b": 3}
    assert ImageFolder(str(tmp_path), labels=False).classes is None
    save(tmp_path / "4.png", 4)
    assert ImageFolder(str(tmp_path)).summary()["notes"] == [
        "1 of 5 pictures lie in no sub-folder: there are no labels"
    ]
    with pytest.raises(ValueError, match=r"'4.png' lies in none; move it"):
        _ = ImageFolder(str(tmp_path), labels=True).classes


def test_what_is_no_picture_is_passed_over_and_counted(tmp_path):
    source = folder(tmp_path, ["a/0.png", "a/1.JFIF", "a/2.gif", "a/3.tiff"])
    for name in ["a/.x.png", "a/._0.png", ".ipynb_checkpoints/0.png", "__MACOSX/a/0.png", "a/Thumbs.db", ".DS_Store",
                 "a/x.avif", "a/y.jp2", "a/z.jp2", "a/readme"]:  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    summary = source.summary()
    assert summary["pictures"] == 4
    assert summary["suffixes"] == {".png": 1, ".jfif": 1, ".gif": 1, ".tiff": 1}
    assert summary["passed_over"] == {".avif": 1, ".jp2": 2, "hidden": 6, "link to a folder above": 1, "no suffix": 1}
    assert source.class_names == ("a",)
    for path in source.files("train")[0] + source.files("held_out")[0]:
        path.unlink()
    with pytest.raises(
        ValueError, match=r"holds 0 pictures and 6 hidden, 2 .jp2, 1 .avif, .*, which are not read; give at"
    ):
        ImageFolder(str(tmp_path)).size()


def test_every_change_is_counted(tmp_path):
    """One file for each kind of change, beside two that are as asked."""
    grey, rgb = np.full((8, 8), 9, np.uint8), np.full((8, 8, 3), (9, 99, 199), np.uint8)
    for i in range(2):
        save(tmp_path / f"{i}.png", rgb)
    save(tmp_path / "grey.png", grey)
    save(tmp_path / "deep.png", grey.astype(np.uint16))
    save(tmp_path / "small.png", rgb[:4, :4])
    save(tmp_path / "wide.png", rgb.repeat(2, 1))
    save(tmp_path / "clear.png", np.concatenate([rgb, grey[..., None]], -1))
    Image.fromarray(rgb).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(rgb)] * 2)
    source = ImageFolder(str(tmp_path), side=8)
    assert source.event_shape == (3, 8, 8)
    assert source.summary()["changes"] == {
        "laid over the background": 1, "grey made colour": 2, "rounded to 8 bits": 1, "only the first page or frame read": 1,
        "enlarged": 1, "cropped": 1,
    }  # fmt: skip
    assert source.summary()["notes"] == ["the background is white"]
    assert ImageFolder(str(tmp_path), side=8, channels=1).summary()["changes"]["turned grey"] == 6
    assert ImageFolder(str(tmp_path), side=8, channels=4).summary()["changes"]["made opaque"] == 7
    padded = ImageFolder(str(tmp_path), side=8, fit="pad", background="black").summary()
    assert (padded["changes"]["padded"], padded["changes"]["shrunk"]) == (2, 1)
    assert "the background is black" in padded["notes"]
    assert padded["sizes"] == {"8 x 8": 6, "4 x 4": 1, "16 x 8": 1}


@pytest.mark.parametrize("fit", ["crop", "pad", "keep"])
def test_any_rectangle(tmp_path, fit):
    ramp = np.arange(24, dtype=np.uint8).reshape(4, 6)
    for i in range(3):
        save(tmp_path / f"{i}.png", ramp)
    x = ImageFolder(str(tmp_path), size=[4, 6], fit=fit).tensors()[0]
    assert np.array_equal(to_levels(x)[0, 0].numpy(), ramp)
    if fit == "keep":
        with pytest.raises(ValueError, match=r"3 files of .*0.png' is 6 pixels wide and 4 high, not 4 and 4"):
            _ = ImageFolder(str(tmp_path), size=4, fit="keep").event_shape
        save(tmp_path / "3.png", 0, (8, 8))
        with pytest.raises(ValueError, match=r"2 sizes \(3 6 x 4, 1 8 x 8\), and fit=keep changes none"):
            _ = ImageFolder(str(tmp_path), fit="keep").event_shape
    else:
        wanted = ramp[:, 1:5] if fit == "crop" else None
        read = to_levels(ImageFolder(str(tmp_path), size=4, fit=fit).tensors()[0])[0, 0].numpy()
        assert wanted is None or np.array_equal(read, wanted)


def test_files_of_several_sizes_are_64_pixels_square(tmp_path):
    source = folder(tmp_path, ["0.png", "1.png"])
    save(tmp_path / "2.png", 2, (100, 80))
    assert source.event_shape == (1, 64, 64)
    assert source.summary()["changes"] == {"cropped": 3, "enlarged": 2, "shrunk": 1}


DEEP = np.array([[0, 1, 300, 40000, 65535]], np.uint16)


def test_sixteen_bits_stay_sixteen(tmp_path):
    for i in range(2):
        save(tmp_path / f"{i}.png", DEEP)
    save(tmp_path / "2.png", np.array([[0, 1, 2, 3, 255]], np.uint8))
    source = ImageFolder(str(tmp_path), held_out=0.01)
    assert source.levels == 65536
    read = {tuple(to_levels(x, 65536).flatten().tolist()) for s in ("train", "held_out") for x in source.tensors(s)[0]}
    assert read == {tuple(DEEP[0].tolist()), (0, 257, 514, 771, 65535)}
    narrow = ImageFolder(str(tmp_path), range=[0, 65535])
    assert (narrow.levels, bin_width(narrow.levels)) == (65536, 2 / 65535)
    assert ImageFolder(str(tmp_path), channels=3).levels == 256


def test_a_range_makes_numbers_of_any_kind_data(tmp_path):
    for i in range(2):
        save(tmp_path / f"{i}.tif", np.array([[-5.0, 0.0, 5.0]], np.float32))
    with pytest.raises(ValueError, match=r"2 files of .*0.tif' holds 32-bit or floating-point .*range=\[low, high\]"):
        ImageFolder(str(tmp_path)).size()
    source = ImageFolder(str(tmp_path), range=[-5, 5])
    assert source.levels is None
    assert source.tensors()[0].tolist() == [[[[-1, 0, 1]]]]
    save(tmp_path / "2.png", np.zeros((1, 3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"2.png' has colours, and a range is for grey files"):
        ImageFolder(str(tmp_path), range=[-5, 5]).size()


@pytest.mark.parametrize("change", ["added first", "removed", "renamed"])
def test_the_split_stays_when_files_come_and_go(tmp_path, change):
    """Of 200 files no other one moves: none that is held out now was trained on before."""
    source = folder(tmp_path, [f"{i:03d}.png" for i in range(200)])
    before = names_of(source, "train"), names_of(source, "held_out")
    if change == "added first":
        save(tmp_path / "000.bmp", 7)
    elif change == "removed":
        (tmp_path / "000.png").unlink()
    else:
        (tmp_path / "000.png").rename(tmp_path / "zzz.png")
    now = ImageFolder(str(tmp_path))
    assert 5 < len(before[1]) < 40
    assert not names_of(now, "held_out") & before[0]
    assert not names_of(now, "train") & before[1]


def test_a_name_is_the_same_however_its_accents_are_written(tmp_path):
    """macOS stores accents apart from their letters (NFD), others as they were typed."""
    sides = []
    for form in ("NFC", "NFD"):
        names = [unicodedata.normalize(form, f"é{i}.png") for i in range(40)]
        source = folder(tmp_path / form, names)
        sides.append({unicodedata.normalize("NFC", name) for name in names_of(source, "held_out")})
    assert sides[0] == sides[1]


def test_fifty_bad_files_are_named_by_one_error(tmp_path):
    folder(tmp_path, [f"good{i}.png" for i in range(3)])
    for i in range(50):
        (tmp_path / f"bad{i:02d}.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"50 files of .* are bad") as caught:
        ImageFolder(str(tmp_path)).size()
    words = str(caught.value)
    assert [f"bad{i:02d}.png" in words for i in range(50)] == [True] * 20 + [False] * 30
    assert "; and 30 more; remove or replace them" in words
    with pytest.raises(ValueError, match=r"50 files of .* are bad"):
        load_samples(tmp_path, (1, 4, 6))


def test_files_cut_off_after_their_headers_are_named_together_when_one_is_read(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (4, 6), dtype=np.uint8)
    for i in range(12):
        path = save(tmp_path / f"{i:02d}.png", noise)
        if i % 4 == 1:
            path.write_bytes(path.read_bytes()[:60])
    source = ImageFolder(str(tmp_path))
    broken = [row for row, path in enumerate(source.files("train")[0]) if path.name in ("01.png", "05.png", "09.png")]
    with pytest.raises(ValueError, match=r"3 files of .*01.png.*05.png.*09.png") as caught:
        source.batch(torch.tensor(broken[:1]))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*items are held out")
def test_the_digest_is_of_every_file_and_of_how_it_is_read(tmp_path):
    names = [f"a/{i}.png" for i in range(16)]
    source = folder(tmp_path / "one", names)
    first = {split: source.digest(split) for split in ("train", "held_out")}
    assert first["train"] != first["held_out"]
    again = folder(tmp_path / "two", names)
    assert {split: again.digest(split) for split in first} == first
    for other in ({"channels": 3}, {"size": 4}, {"labels": False}):
        assert ImageFolder(str(tmp_path / "two"), **other).digest() != first["train"]
    for path in again.files("train")[0]:
        data, stat = path.read_bytes(), path.stat()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert ImageFolder(str(tmp_path / "two")).digest() != first["train"]
        path.write_bytes(data)
    assert ImageFolder(str(tmp_path / "two")).digest() == first["train"]


def test_the_folder_is_found_from_the_working_directory_and_sent_to_another_process(tmp_path, monkeypatch):
    folder(tmp_path / "2024", ["0.png", "1.png"])
    monkeypatch.chdir(tmp_path)
    source = build("data set", parse("image_folder(root=2024, size=[2, 3], background=[1, 2, 3])"))
    assert (source.root, source.event_shape) == ("2024", (1, 2, 3))
    assert spec_of("data set", source)["size"] == [2, 3]
    copy = pickle.loads(pickle.dumps(source))
    assert torch.equal(copy.tensors()[0], source.tensors()[0])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"size": [4]}, r"size is \[H, W\] or one number of pixels"),
        ({"side": 0}, r"size is \[H, W\] or one number of pixels"),
        ({"size": 4, "side": 4}, "give one of them"),
        ({"fit": "stretch"}, "fit is one of crop, pad, keep"),
        ({"channels": 2}, "channels 1, 3 or 4"),
        ({"range": [1, 0]}, r"range is \[low, high\]"),
        ({"range": [0, 1], "channels": 3}, "range is for grey files"),
        ({"background": "none"}, "a background is the name of a colour"),
        ({"held_out": 0}, "held_out is a share"),
    ],
)
def test_wrong_arguments_are_refused_before_a_file_is_opened(given, words):
    with pytest.raises(ValueError, match=words):
        by_name("image_folder", root="nowhere", **given)


def test_samples_are_read_in_the_same_way(tmp_path):
    save(tmp_path / "0.png", DEEP)
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    read = load_samples(tmp_path, (1, 1, 5))
    assert to_levels(read).flatten().tolist() == [0, 0, 1, 156, 255]
    clear = np.array([[[200, 100, 0, 0]] * 5], np.uint8)
    save(tmp_path / "0.png", clear)
    assert to_levels(load_samples(tmp_path, (3, 1, 5))).unique().tolist() == [255]
    assert to_levels(load_samples(tmp_path, (4, 1, 5)))[0, :, 0, 0].tolist() == [200, 100, 0, 0]


SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "BMP": "bmp", "PPM": "ppm", "TIFF": "tif", "GIF": "gif"}


def damaged(folder: Path, count: int) -> list[Path]:
    """Files of all formats with bytes exchanged, and some cut off."""
    drawn, found = random.Random(11), []
    noise = np.random.default_rng(1)
    for number in range(count):
        kind, modes = drawn.choice(list(SUFFIXES.items())), ["L", "RGB", "P"]
        picture = Image.fromarray(noise.integers(0, 256, (9, 7, 3), dtype=np.uint8)).convert(drawn.choice(modes))
        picture = picture.convert("RGB") if kind[0] in ("JPEG", "WEBP", "PPM") else picture
        path = folder / f"{number}.{kind[1]}"
        picture.save(path, kind[0])
        whole = bytearray(path.read_bytes())
        for _ in range(drawn.randint(1, 6)):
            whole[drawn.randrange(min(len(whole), drawn.choice([40, 200])))] = drawn.randrange(256)
        path.write_bytes(whole[: drawn.choice([len(whole), drawn.randrange(len(whole))])])
        found.append(path)
    return found


@pytest.mark.filterwarnings("ignore:::PIL")
@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_files_are_refused_by_name_or_read(tmp_path, count):
    said = []
    for path in damaged(tmp_path, count):
        try:
            read_header(path)
            assert 0 not in read_picture(path).size
        except ValueError as error:
            said.append((path.name, str(error)))
    assert len(said) > count / 3
    for name, words in said:
        assert name in words
        assert re.search(r"cannot be read as a picture \(.+\); remove or replace it$", words)
        assert "\n" not in words
