"""The parts: level features, attention, and what is particular to the U-Net and the MLP."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.networks import TimeMLP, UNet, blocks
from sde_diffusion.networks.blocks import SelfAttention
from sde_diffusion.networks.features import FASTEST, level_features, per_sample


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_features_are_bounded_and_smooth_everywhere():
    """|f| <= 1 and, since d tanh <= 1, |df/dc| <= the fastest frequency; both by values and by differentiation."""
    c = torch.linspace(-60, 60, 4001, dtype=torch.float64)
    features, slopes = torch.func.jvp(lambda z: level_features(z, 32), (c,), (torch.ones_like(c),))
    assert features.abs().max() <= 1
    assert slopes.abs().max() <= FASTEST * (1 + 1e-12)
    assert torch.isfinite(level_features(torch.tensor([-math.inf, math.inf]), 32)).all()


def test_features_tell_levels_apart_over_the_whole_range():
    """The slowest sine grows from end to end, so no two levels share features; 0.05 nats move them by over 0.1."""
    c = torch.arange(-20, 20, 0.05, dtype=torch.float64)
    features = level_features(c, 64)
    assert (features[1:, 0] > features[:-1, 0]).all()
    assert (features[1:] - features[:-1]).norm(dim=1).min() > 0.1


def test_features_depend_on_the_level_only():
    c = torch.tensor([0.3, -4.0], dtype=torch.float64)
    torch.testing.assert_close(level_features(c.float(), 16).double(), level_features(c, 16), rtol=0, atol=2e-5)
    with pytest.raises(ValueError, match="even"):
        level_features(c, 5)


def test_levels_keep_their_precision_next_to_half_precision_states():
    assert per_sample(1.001, torch.zeros(2, 3, dtype=torch.float16)).dtype == torch.float32
    assert per_sample(1 / 3, torch.zeros(2, 3, dtype=torch.float64))[0].item() == 1 / 3


def test_attention_ignores_where_pixels_are():
    """A permutation of the pixels in permutes the pixels out."""
    layer = SelfAttention(128).double()
    torch.nn.init.normal_(layer.attention.out.weight)
    x = torch.randn(2, 128, 3, 5, dtype=torch.float64, generator=generator())
    assert layer.attention.heads == 2
    order = torch.randperm(15, generator=generator())
    shuffled = layer(x.flatten(2)[..., order].reshape(x.shape))
    assert (layer(x) - x).abs().max() > 0.1
    torch.testing.assert_close(shuffled, layer(x).flatten(2)[..., order].reshape(x.shape))


def test_attention_joins_distant_pixels_and_without_it_they_stay_apart(monkeypatch):
    """With the norms taken out, which also join all pixels, convolutions alone do not carry one corner to the other."""
    monkeypatch.setattr(
        blocks, "modulated", lambda _, x, gain, shift: x * (1 + gain[..., None, None]) + shift[..., None, None]
    )
    near, far = (UNet(1, width=8, multipliers=(1, 1), attention=levels).double() for levels in ((), (1,)))
    reach = []
    for network in (near, far):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        for module in network.modules():
            if isinstance(module, torch.nn.GroupNorm):
                module.forward = lambda z: z
        x = torch.zeros(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
        network(x, 0.0)[0, 0, 0, 0].backward()
        reach.append(float(x.grad[0, 0, -8:, -8:].abs().max()))
    assert reach[0] == 0 < reach[1]


def test_a_unet_takes_any_size_that_halves_evenly_and_refuses_others():
    network = UNet(3, width=8, multipliers=(1, 2, 2))
    assert network(torch.zeros(2, 3, 8, 12), 0.0).shape == (2, 3, 8, 12)
    for shape in [(2, 3, 8, 10), (2, 3, 9, 8), (2, 1, 8, 8), (2, 3, 8)]:
        with pytest.raises(ValueError, match="divisible by 4"):
            network(torch.zeros(shape), 0.0)
    with pytest.raises(ValueError, match="divisible by 2"):
        UNet.fitting((1, 7, 8))
    with pytest.raises(ValueError, match="try TimeMLP"):
        UNet.fitting((2,))


def test_senseless_sizes_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        UNet(width=0)
    with pytest.raises(ValueError, match="at least 1"):
        UNet(multipliers=())
    with pytest.raises(ValueError, match=r"levels 0 .. 1, got \(2,\)"):
        UNet(attention=(2,))
    with pytest.raises(ValueError, match="at least 1"):
        TimeMLP(0)
    with pytest.raises(ValueError, match=r"samples of shape \(2,\), got x of shape \(4, 3\)"):
        TimeMLP(2)(torch.zeros(4, 3), 0.0)


def test_an_event_shape_is_only_a_view_of_a_vector():
    flat = TimeMLP(16, width=8, depth=1)
    torch.nn.init.normal_(flat.leave[-1].weight)
    square = TimeMLP((1, 4, 4), width=8, depth=1)
    square.load_state_dict(flat.state_dict())
    x = torch.randn(3, 1, 4, 4, generator=generator())
    assert torch.equal(square(x, 0.5).flatten(1), flat(x.flatten(1), 0.5))
