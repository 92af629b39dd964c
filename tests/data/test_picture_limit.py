"""The number of pixels that a picture may have: PIL's own limit, or the one that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sde_diffusion.data.image_folder import ImageFolder
from sde_diffusion.data.pixels import to_levels

LEVELS = np.random.default_rng(1).integers(0, 256, (8, 4, 7), dtype=np.uint8)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Eight pictures of 28 pixels, where PIL reads up to 20 of them and warns from 11 on."""
    for number, levels in enumerate(LEVELS):
        Image.fromarray(levels).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    return str(tmp_path)


def test_a_picture_above_the_limit_is_refused_and_the_remedy_named(pictures):
    for more in ({}, {"max_pixels": 27}):
        with pytest.raises(
            ValueError, match=r"8 files of .* are bad: .*0\.png.*28 pixels.*max_pixels allows larger ones"
        ):
            ImageFolder(pictures, **more).size()


@pytest.mark.parametrize("most", [28, 10**9])
@pytest.mark.parametrize("size", [None, 4])
def test_a_higher_limit_reads_them_and_changes_nothing_else(pictures, most, size, monkeypatch):
    """The numbers and the digest are those of no limit, cropped ones too, and PIL's own limit is as before."""
    source = ImageFolder(pictures, max_pixels=most, size=size)
    x, digest = source.tensors()[0], source.digest()
    assert Image.MAX_IMAGE_PIXELS == 10
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    plain = ImageFolder(pictures, size=size)
    assert torch.equal(x, plain.tensors()[0])
    assert digest == plain.digest()
    if size is None:
        kept = {one.tobytes() for one in LEVELS}
        assert {one.numpy().tobytes() for one in to_levels(x).byte()} <= kept


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "many"])
def test_what_is_no_number_of_pixels_is_refused(pictures, wrong):
    with pytest.raises(ValueError, match="max_pixels is the number of pixels of the largest picture"):
        ImageFolder(pictures, max_pixels=wrong)
