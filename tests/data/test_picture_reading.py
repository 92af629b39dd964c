"""One reader: each kind of pixel by its own range, upright, transparency over a background. All values are exact."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sde_diffusion.data.picture_fit import fitted
from sde_diffusion.data.pictures import colour, read_header, read_picture


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, bits: int, colours: int, row: bytes, extra: bytes = b"") -> bytes:
    """One row of pixels as a PNG file of any depth."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, bits, colours, 0, 0, 0))
    body = png_chunk(b"IDAT", zlib.compress(b"\0" + row)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + extra + body


def tiff(width: int, bits: int, row: bytes, order: str = "<", white_is_zero: bool = False) -> bytes:
    """One row of grey pixels as an uncompressed TIFF file."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: int(not white_is_zero), 273: 128, 277: 1, 278: 1, 279: len(row)}
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, 3, 1) + struct.pack(f"{order}HH", value, 0) for tag, value in tags.items()
    )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return (head + entries + b"\0" * 4).ljust(128, b"\0") + row


DEEP = [0, 300, 40000, 65535]
BIG, LITTLE = (np.array(DEEP, order).tobytes() for order in (">u2", "<u2"))
PALETTE = png_chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0]))
GREYS = png_chunk(b"PLTE", bytes([9, 9, 9, 70, 70, 70]))

GREY = {
    "1.png": (png(4, 1, 0, bytes([0b01010000])), [0, 1, 0, 1]),
    "2.png": (png(4, 2, 0, bytes([0b00011011])), [0, 1 / 3, 2 / 3, 1]),
    "4.png": (png(2, 4, 0, bytes([0x7F])), [7 / 15, 1]),
    "8.png": (png(3, 8, 0, bytes([0, 100, 255])), [0, 100 / 255, 1]),
    "16.png": (png(4, 16, 0, BIG), [v / 65535 for v in DEEP]),
    "16.tif": (tiff(4, 16, LITTLE), [v / 65535 for v in DEEP]),
    "16big.tif": (tiff(4, 16, BIG, ">"), [v / 65535 for v in DEEP]),
    "16white.tif": (tiff(4, 16, LITTLE, white_is_zero=True), [1 - v / 65535 for v in DEEP]),
    "12.tif": (tiff(2, 12, bytes([0xFF, 0xF8, 0x00])), [1, 2048 / 4095]),
    "16.pgm": (b"P5 4 1 65535\n" + BIG, [v / 65535 for v in DEEP]),
    "palette.png": (png(4, 1, 3, bytes([0b10100000]), GREYS), [70 / 255, 9 / 255, 70 / 255, 9 / 255]),
    "hidden16.png": (png(4, 16, 0, BIG, png_chunk(b"tRNS", struct.pack(">H", 300))), [0, 1, 40000 / 65535, 1]),
    "hidden2.png": (png(4, 2, 0, bytes([0b00011011]), png_chunk(b"tRNS", b"\0\1")), [0, 1, 2 / 3, 1]),
}
"""Grey files, and the numbers that they hold."""


@pytest.mark.parametrize("name", GREY)
def test_grey_of_any_depth_is_scaled_by_its_full_range(tmp_path, name):
    data, wanted = GREY[name]
    (tmp_path / name).write_bytes(data)
    assert read_header(tmp_path / name).grey
    assert np.array_equal(np.asarray(read_picture(tmp_path / name, "F"))[0], np.float32(wanted))
    eight = np.rint(np.float64(wanted) * 255)
    assert np.asarray(read_picture(tmp_path / name, "L"))[0].tolist() == eight.tolist()
    assert np.asarray(read_picture(tmp_path / name, "RGB"))[0].tolist() == [[v] * 3 for v in eight]


COLOUR = {
    "16.png": (png(2, 16, 2, np.array([0x1234, 0xFF00, 0x00FF, 0, 256, 65535], ">u2").tobytes()),
               [[0x12, 0xFF, 0], [0, 1, 255]]),
    "palette.png": (png(2, 1, 3, bytes([0b10000000]), PALETTE), [[0, 255, 0], [255, 0, 0]]),
    "some.png": (png(2, 1, 3, bytes([0b10000000]), PALETTE + png_chunk(b"tRNS", bytes([128]))),
                 [[0, 255, 0], [255, 127, 127]]),
    "one.png": (png(2, 8, 2, bytes([0, 1, 2, 3, 4, 5]), png_chunk(b"tRNS", bytes([0, 0, 0, 1, 0, 2]))),
                [[255, 255, 255], [3, 4, 5]]),
    "la16.png": (png(2, 16, 4, np.array([0x1234, 0xFFFF, 0xFF, 0], ">u2").tobytes()), [[0x12] * 3, [255] * 3]),
}  # fmt: skip
"""Files over white."""


@pytest.mark.parametrize("name", COLOUR)
def test_colours_palettes_and_transparent_entries(tmp_path, name):
    data, wanted = COLOUR[name]
    (tmp_path / name).write_bytes(data)
    assert np.asarray(read_picture(tmp_path / name))[0].tolist() == wanted


def test_cmyk_is_read_as_colour(tmp_path):
    Image.new("CMYK", (2, 1), (0, 255, 100, 50)).save(tmp_path / "x.tif")
    wanted = [round((255 - ink) * 205 / 255) for ink in (0, 255, 100)]
    assert np.asarray(read_picture(tmp_path / "x.tif"))[0].tolist() == [wanted] * 2


TURNED = [None, 0, 3, 1, 5, 2, 6, 4]
"""PIL's transposition that stores an upright picture in each of the eight orientations of Exif."""


@pytest.mark.parametrize("suffix", ["png", "webp", "jpg", "tif", "lzw.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_are_turned_upright(tmp_path, suffix, orientation):
    corners = np.array([[0, 50, 100], [150, 200, 250]], np.uint8)
    upright = Image.fromarray(corners.repeat(16, 0).repeat(16, 1))
    turn, exif, path = TURNED[orientation - 1], Image.Exif(), tmp_path / f"x.{suffix}"
    exif[0x112] = orientation
    more = {"webp": {"lossless": True}, "jpg": {"quality": 100}, "lzw.tif": {"compression": "tiff_lzw"}}.get(suffix, {})
    (upright if turn is None else upright.transpose(Image.Transpose(turn))).save(path, exif=exif, **more)
    assert read_header(path).size == (48, 32)
    read = np.asarray(read_picture(path, "L")).astype(int)
    assert read.shape == (32, 48)
    assert np.abs(read - np.asarray(upright)).max() <= (1 if suffix == "jpg" else 0)


def over(colour: int, opacity: int, ground: int) -> int:
    return round((opacity * colour + (255 - opacity) * ground) / 255)


def saved_as(kind: str, pixels: np.ndarray, folder: Path) -> Path:
    """Pixels (H, W, 4) in a format; palettes and grey take what they can hold."""
    path, picture = folder / f"x.{kind.split()[0]}", Image.fromarray(pixels)
    if kind == "webp":
        picture.save(path, lossless=True, exact=True)
    else:
        picture.convert("LA" if "grey" in kind else "RGBA").save(path)
    return path


@pytest.mark.parametrize(
    ("background", "ground"), [("white", (255,) * 3), ("black", (0,) * 3), ([9, 99, 199], (9, 99, 199))]
)
@pytest.mark.parametrize("kind", ["png", "webp", "tif"])
def test_transparency_is_laid_over_the_background(tmp_path, kind, background, ground):
    pixels = np.array([[[255, 0, 255, 0], [200, 100, 0, 128], [10, 20, 30, 255], [90, 80, 70, 1]]], np.uint8)
    read = np.asarray(read_picture(saved_as(kind, pixels, tmp_path), "RGB", background))[0]
    wanted = [[over(int(c), int(a), g) for c, g in zip(rgb, ground, strict=True)] for *rgb, a in pixels[0]]
    assert read.tolist() == wanted
    kept = np.asarray(read_picture(tmp_path / f"x.{kind}", "RGBA"))
    assert np.array_equal(kept, pixels)


def test_grey_with_opacity(tmp_path):
    pixels = np.array([[[255, 255, 255, 0], [200, 200, 200, 128], [10, 10, 10, 255]]], np.uint8)
    path = saved_as("png grey", pixels, tmp_path)
    assert read_header(path).grey
    assert np.asarray(read_picture(path, "L", "black"))[0].tolist() == [0, 100, 10]
    assert np.asarray(read_picture(path, "L", [255, 0, 0]))[0, 0] == 76  # 0.299 of red


def test_opacity_is_premultiplied_while_a_picture_is_resized():
    """Half opaque white, half transparent magenta: the mean is white at half opacity, without magenta."""
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[:, 0], pixels[:, 1] = (255, 255, 255, 255), (255, 0, 255, 0)
    assert np.asarray(fitted(Image.fromarray(pixels), (1, 1), "crop"))[0, 0].tolist() == [255, 255, 255, 128]


REFUSED = {
    "int.tif": Image.fromarray(np.array([[0, 70000]], np.int32)),
    "float.tif": Image.fromarray(np.array([[0.0, 1.0]], np.float32)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_of_no_known_range_need_one(tmp_path, name):
    REFUSED[name].save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{name}' cannot be read as a picture .*give range=\[low, high\]"):
        read_picture(tmp_path / name, "L")
    high = 140_000 if name == "int.tif" else 2
    assert np.asarray(read_picture(tmp_path / name, "F", range=(0, high)))[0].tolist() == [0, 0.5]
    with pytest.raises(ValueError, match=rf"{name}' .*beyond the range 0 to 0.5"):
        read_picture(tmp_path / name, "F", range=(0, 0.5))


def test_numbers_that_are_not_finite_are_beyond_any_range(tmp_path):
    Image.fromarray(np.array([[0.0, np.nan]], np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=r"x.tif' .*beyond the range 0 to 1"):
        read_picture(tmp_path / "x.tif", "F", range=(0, 1))


def test_a_transparent_colour_of_16_bits_is_refused(tmp_path):
    hidden = png_chunk(b"tRNS", bytes([0, 9, 0, 9, 0, 9]))
    (tmp_path / "x.png").write_bytes(png(1, 16, 2, bytes(6), hidden))
    with pytest.raises(ValueError, match=r"x.png' cannot be read .*16 bits is more than PIL reads"):
        read_picture(tmp_path / "x.png")


@pytest.mark.parametrize("wrong", ["whiteish", [255, 0], [0, 0, 256], "#12345678"])
def test_a_background_is_a_colour(wrong):
    with pytest.raises(ValueError, match="a background is the name of a colour"):
        colour(wrong)
    assert colour("#0a0b0c") == colour([10, 11, 12]) == (10, 11, 12)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "F"])
@pytest.mark.parametrize(
    ("whole", "fit", "wanted"),
    [
        ((4, 8), "crop", [2, 3, 4, 5]),
        ((4, 2), "pad", [None, 0, 1, None]),
        ((4, 4), "keep", [0, 1, 2, 3]),
    ],
)
def test_the_three_fits_by_columns(mode, whole, fit, wanted):
    """A picture whose columns count 0, 1, 2 ...; None is the background."""
    columns = np.tile(np.arange(whole[1], dtype=np.uint8), (whole[0], 1))
    picture = Image.fromarray(columns)
    picture = Image.fromarray(columns.astype(np.float32)) if mode == "F" else picture.convert(mode)
    read = np.asarray(fitted(picture, (4, 4), fit, "white"))
    ground = {"F": 1, "RGBA": 0}.get(mode, 255)
    first = read.reshape(4, 4, -1)[0, :, 0]
    assert first.tolist() == [ground if v is None else v for v in wanted]


def test_padding_shrinks_what_is_too_large_and_enlarges_nothing():
    wide = Image.new("L", (8, 4), 100)
    assert np.asarray(fitted(wide, (4, 4), "pad", "black")).tolist() == [[0] * 4, [100] * 4, [100] * 4, [0] * 4]
    small = np.asarray(fitted(Image.new("L", (2, 2), 100), (4, 4), "pad", "black"))
    assert (small == 100).sum() == 4
