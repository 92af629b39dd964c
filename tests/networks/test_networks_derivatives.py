"""Networks with attention under everything here that differentiates them: losses, divergences, mixed precision."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from sde_diffusion import networks
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.denoisers.energy import EnergyDenoiser
from sde_diffusion.networks import Backbone, DiT, UNet
from sde_diffusion.objectives import ImplicitScoreMatching, SlicedScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from solvers.divergence.base import products

EVENT = (1, 2, 4)
BUILDS = {
    "unet": lambda: UNet.fitting(EVENT, width=4, attention=(0, 1)),
    "dit": lambda: DiT(EVENT, patch=1, width=8, depth=1, heads=2),
}
EACH = pytest.mark.parametrize("name", BUILDS)


def network(name: str) -> Backbone:
    """In float64, its weights moved off their start."""
    built, draw = BUILDS[name]().double(), torch.Generator().manual_seed(0)
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.3, generator=draw)
    return built


def normals(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@EACH
def test_products_with_the_jacobian_agree_forwards_and_backwards(name):
    """v . (J u) by forward mode within vmap, as likelihoods ask, and (J^T v) . u by reverse mode, as losses do."""
    model, x = network(name), normals(3, *EVENT)
    u, v = normals(3, 2, *EVENT, seed=2), normals(3, 2, *EVENT, seed=3)

    def field(z: Tensor) -> Tensor:
        return model(z, 0.3)

    with torch.no_grad():
        value, pushed = products(field, x, u)
    other, pulled = products(field, x, v)
    torch.testing.assert_close(value, other.detach())
    torch.testing.assert_close((v * pushed).flatten(2).sum(2), (pulled * u).flatten(2).sum(2).detach())


@pytest.mark.parametrize("loss", ["implicit", "sliced", "energy"])
@EACH
def test_the_gradients_of_losses_are_those_of_differences(name, loss):
    """Along one direction in the weights; each loss differentiates the network before it is differentiated itself."""
    sde, x, t = VP(), normals(2, *EVENT), torch.tensor([0.2, 0.8], dtype=torch.float64)
    make = EnergyDenoiser if loss == "energy" else Preconditioned
    model = make(network(name), EDMPreconditioning())

    def value() -> Tensor:
        if loss == "implicit":
            return ImplicitScoreMatching().at(model, sde, x, t).sum()
        if loss == "sliced":
            return SlicedScoreMatching().at(model, sde, x, normals(2, *EVENT, seed=4), t).sum()
        return model(x, sde.kernel(t)).square().sum()

    value().backward()
    weights = list(model.parameters())
    along = [normals(*w.shape, seed=5) for w in weights]
    slope = sum((w.grad * d).sum() for w, d in zip(weights, along, strict=True) if w.grad is not None)

    def moved(h: float) -> Tensor:
        with torch.no_grad():
            for w, d in zip(weights, along, strict=True):
                w.add_(d, alpha=h)
        return value().detach()

    h = 1e-6
    above, below = moved(h), moved(-2 * h)
    torch.testing.assert_close(slope, (above - below) / (2 * h), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", networks.names())
def test_mixed_precision_rounds_and_nothing_else(name):
    """Under autocast to bfloat16 and wholly in it: the answer to its eight bits, and finite gradients."""
    options = {"unet": {"width": 16, "attention": (1,)}, "dit": {"width": 24, "heads": 2}}.get(name, {"width": 32})
    model = networks.by_name(name).fitting((2, 4, 4), **options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(parameter.numel()))
    x, c = normals(3, 2, 4, 4).float(), torch.tensor([-2.0, 0.0, 3.0])
    exact = model(x, c).detach()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(x, c)
    mixed.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    half = copy.deepcopy(model).bfloat16()(x.bfloat16(), c)
    assert half.dtype == torch.bfloat16
    for rounded in (mixed, half):
        error = (rounded.detach().float() - exact).square().mean().sqrt()
        assert error < 0.05 * exact.square().mean().sqrt()
