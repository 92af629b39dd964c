"""Parameters and operations against closed formulas, and the presets against what their papers say."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion import networks
from sde_diffusion.networks import DiT, TimeMLP, UNet, cost
from sde_diffusion.networks.conditioning import LEVEL_FEATURES


def conditioning(width: int) -> int:
    """Multiply-adds of the conditioning."""
    return LEVEL_FEATURES * width + width * width


def test_an_mlp():
    width, vector, size = 32, 16, 5
    multiplied = conditioning(vector) + size * width + 2 * (vector * 2 * width + 2 * width**2) + width * size
    biases = 2 * vector + width + 2 * (2 * width + 2 * width) + 2 * width + size  # and the last norm's two vectors
    found = cost(TimeMLP(size, width=width, depth=2), (size,))
    assert found.flops == 2 * multiplied
    assert found.parameters == multiplied + biases


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_unet_of_one_level(rank):
    """One block down, two in the middle, two up: convolutions of 3^rank taps at every point of 4^rank."""
    channels, w, points, taps = 3, 8, 4**rank, 3**rank
    vector = 4 * w
    straight, joined = 2 * taps * w * w, taps * (2 * w) * w + taps * w * w + 2 * w * w  # joined: the skip's 1 x 1 too
    convolutions = taps * channels * w + 3 * straight + 2 * joined + taps * w * channels
    found = cost(UNet(channels, width=w, multipliers=(1,), rank=rank), (channels, *(4,) * rank))
    assert found.flops == 2 * (conditioning(vector) + 5 * vector * 2 * w + points * convolutions)


def test_attention_counts_its_two_products():
    """On n points: queries, keys, values and the way out are 4 w^2 each, weights and their use 2 n w; at 5 places.

    Of the level's stages three have attention, and of the middle's one.
    """
    w, n = 8, 16
    without, with_ = (cost(UNet(1, width=w, multipliers=(1,), attention=a), (1, 4, 4)).flops for a in ((), (0,)))
    assert with_ - without == 4 * 2 * n * (4 * w * w + 2 * n * w)


def test_a_transformer():
    width, depth, patch, n = 24, 3, 2, 6
    size = 2 * patch**2
    block = 6 * width**2 + n * (4 * width**2 + 2 * n * width + 8 * width**2)
    multiplied = conditioning(width) + 2 * n * size * width + depth * block + 2 * width**2
    found = cost(DiT((2, 4, 6), width=width, depth=depth, heads=2), (2, 4, 6))
    assert found.flops == 2 * multiplied


def test_no_memory_is_touched_and_nothing_is_left_behind():
    with torch.device("meta"):
        ghost = UNet(3, width=8, attention=(1,), classes=10)
    real = UNet(3, width=8, attention=(1,), classes=10)
    assert cost(ghost, (3, 8, 8)) == cost(real, (3, 8, 8))
    assert all(p.device.type == "cpu" for p in real.parameters())
    assert all(p.grad is None for p in real.parameters())


def ghost(name: str, preset: str, event_shape: tuple[int, ...], **more) -> networks.Backbone:
    cls = networks.by_name(name)
    with torch.device("meta"):
        return cls.fitting(event_shape, **cls.presets[preset], **more)


@pytest.mark.parametrize(
    ("name", "preset", "event_shape", "classes", "millions"),
    [
        ("unet", "ddpm++", (3, 32, 32), None, 55.7),  # EDM, appendix F
        ("unet", "adm-64", (3, 64, 64), 1000, 296),  # ADM
        ("dit", "s-2", (4, 32, 32), 1000, 33),  # DiT, table 1, without the second half of its output, the variances
        ("dit", "b-2", (4, 32, 32), 1000, 130),
        ("dit", "l-2", (4, 32, 32), 1000, 458),
        ("dit", "xl-2", (4, 32, 32), 1000, 675),
    ],
)
def test_presets_have_the_size_of_the_papers(name, preset, event_shape, classes, millions):
    network = ghost(name, preset, event_shape, classes=classes)
    assert cost(network, event_shape).parameters / 1e6 == pytest.approx(millions, rel=0.02)


def test_presets_have_the_operations_of_the_papers():
    """EDM's DDPM++: 42.4e9 operations; DiT counts multiply-adds: 118.64e9 for XL/2, 23.01e9 for B/2."""
    found = {
        preset: cost(ghost(name, preset, shape), shape).flops / 1e9
        for name, preset, shape in [
            ("unet", "ddpm++", (3, 32, 32)),
            ("dit", "xl-2", (4, 32, 32)),
            ("dit", "b-2", (4, 32, 32)),
        ]
    }
    assert found["ddpm++"] == pytest.approx(42.4, rel=0.02)
    assert found["xl-2"] == pytest.approx(2 * 118.64, rel=0.01)
    assert found["b-2"] == pytest.approx(2 * 23.01, rel=0.01)


@pytest.mark.slow
def test_every_preset_can_be_built():
    for name in networks.names():
        for preset in networks.by_name(name).presets:
            assert cost(ghost(name, preset, (3, 64, 64), classes=10), (3, 64, 64)).parameters > 10**6
