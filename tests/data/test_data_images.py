"""The images that need no download, against scikit-learn's own arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_sample_image

from sde_diffusion.data import by_name, validate
from sde_diffusion.data.patches import Patches
from sde_diffusion.data.pixels import to_levels

DIGITS = by_name("digits")


def rows(images: torch.Tensor, labels: torch.Tensor) -> list[bytes]:
    table = torch.cat([images.flatten(1).long(), labels[:, None]], dim=1)
    return sorted(row.numpy().tobytes() for row in table)


def test_both_splits_together_are_the_published_digits_with_their_labels():
    parts = [DIGITS.tensors(split) for split in ("train", "held_out")]
    images = torch.cat([to_levels(x, 17) for x, _ in parts])
    labels = torch.cat([y for _, y in parts])
    pixels, truth = load_digits(return_X_y=True)
    assert rows(images, labels) == rows(torch.from_numpy(pixels), torch.from_numpy(truth))
    assert [len(x) for x, _ in parts] == [1437, 360]


def test_digits_keep_the_common_promises():
    x, labels = DIGITS.tensors("train")
    validate(x, (1, 8, 8), (-1.0, 1.0))
    assert x.dtype == torch.float32
    assert len(x.unique()) == DIGITS.levels == 17
    assert labels.unique().tolist() == list(range(DIGITS.classes))
    some = torch.tensor([3, 1000, 3])
    assert torch.equal(DIGITS.batch(some)[0], x[some])
    assert torch.equal(DIGITS.batch(some)[1], labels[some])


def test_the_split_is_a_function_of_the_seed():
    def held_out(seed: int) -> torch.Tensor:
        return by_name("digits", seed=seed).tensors("held_out")[0]

    assert torch.equal(held_out(0), held_out(0))
    assert not torch.equal(held_out(0), held_out(1))
    with pytest.raises(ValueError, match="held_out is a number of the 1797 digits"):
        by_name("digits", held_out=1797)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_patches_are_cut_from_the_photographs(split):
    source = Patches(side=24, count=40)
    x, labels = source.tensors(split)
    photographs = [load_sample_image(f"{name}.jpg") for name in ("china", "flower")]
    validate(x, (3, 24, 24), (-1.0, 1.0))
    assert labels.unique().tolist() == [0, 1]
    for patch, (which, top, left) in zip(to_levels(x), source.corners(split).tolist(), strict=True):
        cut = photographs[which][top : top + 24, left : left + 24]
        assert np.array_equal(patch.movedim(0, -1).numpy(), cut)


def test_training_and_held_out_patches_share_no_pixel_and_reach_their_borders():
    source = Patches(side=128, count=5000)
    train, held_out = source.corners("train"), source.corners("held_out")
    assert int(train[:, 2].max()) + 128 == 512 == int(held_out[:, 2].min())
    assert int(held_out[:, 2].max()) + 128 == 640
    assert int(train[:, 1].max()) + 128 == 427
    assert int(train[:, 1].min()) == int(train[:, 2].min()) == 0


def test_a_patch_is_a_function_of_seed_split_and_index():
    few, many = Patches(count=10).tensors()[0], Patches(count=100).tensors()[0]
    assert torch.equal(few, many[:10])
    assert torch.equal(Patches(count=100).batch(torch.tensor([7, 2]))[0], many[[7, 2]])
    assert not torch.equal(Patches(count=10, seed=1).tensors()[0], few)
    with pytest.raises(ValueError, match="1 to 128 pixels"):
        Patches(side=129)
