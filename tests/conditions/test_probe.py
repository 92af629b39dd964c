"""A network that ignores its condition is refused before it is trained, one that begins as the zero function is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sde_diffusion import DiffusionModel
from sde_diffusion.conditions import check_context, check_heeded
from sde_diffusion.denoisers import Preconditioned
from sde_diffusion.networks import TimeMLP, by_name
from sde_diffusion.parameterization import EDMPreconditioning

X = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
C = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))


class Heeds(nn.Module):
    """A linear map of the sample and of a share of the context."""

    def __init__(self, share: float = 1.0) -> None:
        super().__init__()
        self.map, self.share = nn.Linear(6, 3), share

    def forward(self, x, c_time, context=None):
        given = x.new_zeros(len(x), 3) if context is None else context.to(x)
        return self.map(torch.cat([x, self.share * given], dim=1))


class NoContext(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(3, 3)

    def forward(self, x, c_time):
        return self.map(x)


class MeanForNone(Heeds):
    """Looks at the numbers alone, and not at the 1 that says that they are there."""

    def forward(self, x, c_time, context=None):
        return super().forward(x, c_time, None if context is None else context * torch.tensor([1.0, 1.0, 0.0]))


def denoiser(network: nn.Module) -> Preconditioned:
    return Preconditioned(network, EDMPreconditioning(1.0))


def test_networks_that_take_a_context_heed_it_though_they_begin_as_zero():
    for name, shape in (("mlp", (3,)), ("unet", (1, 8, 8)), ("dit", (1, 8, 8))):
        options = {} if name == "mlp" else {"width": 8} if name == "unet" else {"width": 12, "depth": 1, "heads": 1}
        network = by_name(name).fitting(shape, context=3, **options)
        assert not network(torch.ones(2, *shape), 0.0, context=torch.ones(2, 3)).any()
        before = [parameter.clone() for parameter in network.parameters()]
        check_context(denoiser(network), shape, 3)
        assert all(map(torch.equal, before, network.parameters()))


def test_a_network_that_ignores_its_condition_is_refused():
    DiffusionModel.for_data(X, condition=C, network=Heeds())
    with pytest.raises(ValueError, match=r"Heeds takes 'context' and its answer does not depend on it"):
        DiffusionModel.for_data(X, condition=C, network=Heeds(share=0.0))
    with pytest.raises(ValueError, match=r"NoContext takes no argument 'context'"):
        DiffusionModel.for_data(X, condition=C, network=NoContext())
    with pytest.raises(ValueError, match="MeanForNone has one answer for no condition"):
        DiffusionModel.for_data(X, condition=C, network=MeanForNone())
    with pytest.raises(ValueError, match=r"takes context of shape \(2, 5\), got \(2, 3\)"):
        DiffusionModel.for_data(X, condition=C, network=TimeMLP(3, context=5))
    with pytest.raises(ValueError, match="built without a context but got one"):
        DiffusionModel.for_data(X, condition=C, network=TimeMLP(3))


def test_labels_are_looked_at_in_the_same_way():
    check_heeded(denoiser(TimeMLP(3, classes=2)), (3,), {"label": (0, 1)})
    with pytest.raises(ValueError, match="does not depend on it"):
        check_heeded(denoiser(TimeMLP(3, classes=2)), (3,), {"label": (1, 1)})


def test_the_global_generator_is_left_alone():
    heeds, state = denoiser(Heeds()), torch.get_rng_state()
    check_context(heeds, (3,), 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_fit_refuses_names_that_a_network_does_not_take():
    model = DiffusionModel.for_data(X, width=8, depth=1)
    with pytest.raises(ValueError, match="TimeMLP takes no argument 'power'"):
        model.fit(X, condition={"power": C[:, 0]}, steps=1, batch_size=8)
    with pytest.raises(ValueError, match="takes no condition"):
        model.fit(X, condition=C, steps=1, batch_size=8)
