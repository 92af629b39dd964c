"""Networks of diffusers as backbones: what they are called with, and that they train and differentiate here."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import twice_differentiable
from sde_diffusion.networks.foreign import ChainTimestep, DiffusersBackbone
from sde_diffusion.parameterization import Noise
from sde_diffusion.sde import DDPM

CHAIN = DDPM()
LEVELS = [-0.5 * CHAIN.log_snr(CHAIN.node(k + 1)) for k in range(CHAIN.steps)]


def small(**options) -> UNet2DModel:
    return UNet2DModel(
        sample_size=8, in_channels=2, out_channels=2, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"), **options
    )  # fmt: skip


def states(seed: int = 0) -> Tensor:
    return torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(seed))


class Watched(nn.Module):
    """Answers with zeros and remembers what it was called with."""

    def __init__(self, **config) -> None:
        super().__init__()
        self.config = type("Config", (), config)

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor | None = None) -> Tensor:
        self.seen = timestep, class_labels
        return 0 * x


def test_the_timestep_of_a_chains_node_is_its_number():
    rule = ChainTimestep(LEVELS)
    numbers = torch.arange(CHAIN.steps, dtype=torch.float64)
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    torch.testing.assert_close(rule(levels), numbers, rtol=0, atol=1e-9)
    torch.testing.assert_close(rule(levels.float()), numbers.float(), rtol=0, atol=1e-3)
    torch.testing.assert_close(rule.half()(levels), numbers, rtol=0, atol=1e-9)
    assert rule.state_dict() == {}
    between = (levels[1:] + levels[:-1]) / 2
    torch.testing.assert_close(rule(between), numbers[1:] - 0.5, rtol=0, atol=1e-9)
    ends = rule(torch.tensor([-math.inf, -99.0, 99.0, math.inf]))
    assert ends.tolist() == [0.0, 0.0, 999.0, 999.0]
    for wrong in ([1.0], [0.0, 0.0], [1.0, 0.0]):
        with pytest.raises(ValueError, match="each above the one before"):
            ChainTimestep(wrong)


def test_a_denoiser_tells_the_network_its_chains_time():
    network = Watched()
    denoiser = Preconditioned(DiffusersBackbone(network, ChainTimestep(LEVELS)), Noise())
    for k in (0, 1, 500, 999):
        denoiser(states().double(), CHAIN.kernel(CHAIN.node(k + 1)))
        torch.testing.assert_close(network.seen[0], torch.full((3,), float(k), dtype=torch.float64), rtol=0, atol=1e-8)


def test_the_answer_is_the_networks_own():
    unet, x = small(), states()
    backbone = DiffusersBackbone(unet, lambda c: 100 * c)
    assert torch.equal(backbone(x, torch.tensor([0.1, 2.0, 7.5])), unet(x, torch.tensor([10.0, 200.0, 750.0])).sample)
    assert torch.equal(backbone(x, 3.0), unet(x, 300).sample)


def test_labels_reach_a_network_that_knows_classes_and_no_other():
    x, labels = states(), torch.tensor([0, 2, -1])
    taught = Watched(num_class_embeds=4)
    backbone = DiffusersBackbone(taught, lambda c: c, no_label=3)
    backbone(x, 0.0, labels)
    assert taught.seen[1].tolist() == [0, 2, 3]
    backbone(x, 0.0, 1)
    assert taught.seen[1].tolist() == [1, 1, 1]
    backbone(x, 0.0)
    assert taught.seen[1].tolist() == [3, 3, 3]
    with pytest.raises(ValueError, match="knows no missing label"):
        DiffusersBackbone(taught, lambda c: c)(x, 0.0, labels)
    with pytest.raises(ValueError, match="without classes"):
        DiffusersBackbone(Watched(num_class_embeds=None), lambda c: c)(x, 0.0, 1)
    with pytest.raises(ValueError, match="labels are integers"):
        backbone(x, 0.0, torch.zeros(2, dtype=torch.int64))


def test_the_context_gives_a_foreign_network_its_second_derivative():
    """The gradient of |d sum(F)/dx|^2 along u, against finite differences."""
    backbone = DiffusersBackbone(small(), lambda c: 100 * c).double()
    x, u = states().double(), states(1).double()

    def steepness(z: Tensor) -> Tensor:
        z = z.requires_grad_()
        (slope,) = torch.autograd.grad(backbone(z, 1.0).square().sum(), z, create_graph=True)
        return slope.square().sum()

    with twice_differentiable():
        at = x.clone().requires_grad_()
        (second,) = torch.autograd.grad(steepness(at), at)
        h = 1e-5
        difference = (steepness(x + h * u) - steepness(x - h * u)) / (2 * h)
    torch.testing.assert_close((second * u).sum(), difference.detach(), rtol=1e-5, atol=1e-8)


def test_likelihoods_get_their_forward_derivative_without_a_word():
    """J u by forward mode, which diffusers' attention lacks by itself, against finite differences."""
    backbone = DiffusersBackbone(small(), lambda c: 100 * c).double()
    x, u, h = states().double(), states(1).double(), 1e-5
    with torch.no_grad():
        pushed = torch.func.jvp(lambda z: backbone(z, 1.0), (x,), (u,))[1]
        difference = (backbone(x + h * u, 1.0) - backbone(x - h * u, 1.0)) / (2 * h)
    torch.testing.assert_close(pushed, difference, rtol=1e-6, atol=1e-8)
