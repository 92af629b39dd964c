"""Facts that hold for every backbone, found by walking the package."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from sde_diffusion import networks
from sde_diffusion.plugins import implementations

EVENT = (2, 4, 4)
SMALL = {
    "mlp": {"width": 32, "depth": 2},
    "unet": {"width": 8, "attention": (1,)},
    "dit": {"width": 16, "depth": 2, "heads": 2},
    "diffusers_unet": {"width": 16, "attention": (1,)},
    "song": {"width": 16, "multipliers": (1, 2), "blocks": 1, "attention": (1,)},
    "adm": {"width": 16, "multipliers": (1, 2), "blocks": 1, "attention": (1,)},
}
NAMES = networks.names()


def build(name: str, **options) -> networks.Backbone:
    """A small network whose every weight is moved off its start, so that zero layers hide nothing."""
    network = networks.by_name(name).fitting(EVENT, **SMALL.get(name, {}), **options)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator)
    return network


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, *EVENT, generator=torch.Generator().manual_seed(1))


C = torch.tensor([-9.0, -1.0, 0.3, 2.0, 11.0])


@pytest.mark.parametrize("name", NAMES)
def test_a_new_network_is_exactly_zero(name, x):
    network = networks.by_name(name).fitting(EVENT, **SMALL.get(name, {}), classes=3)
    assert torch.equal(network(x, C, torch.tensor([0, 1, 2, -1, 0])), torch.zeros_like(x))
    assert build(name)(x, C).abs().min() > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_see_its_batch_mates(name, x):
    network, labels = build(name, classes=3), torch.tensor([0, 1, 2, -1, 0])
    together = network(x, C, labels)
    alone = torch.cat([network(x[i : i + 1], C[i : i + 1], labels[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5 * float(together.detach().abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_one_level_for_all_is_that_level_for_each(name, x):
    network = build(name)
    each = network(x, torch.full((5,), 1.7))
    assert torch.equal(network(x, torch.tensor(1.7)), each)
    assert torch.equal(network(x, 1.7), each)
    assert torch.equal(network(x, torch.full((5,), 1.7, dtype=torch.float64)), each)


@pytest.mark.parametrize("name", NAMES)
def test_level_and_label_matter_and_no_label_is_minus_one(name, x):
    network = build(name, classes=3)
    nothing = network(x, C)
    assert torch.equal(network(x, C, torch.tensor(-1)), nothing)
    assert torch.equal(network(x, C, -1), nothing)
    outputs = [nothing, *(network(x, C, k) for k in range(3)), network(x, C + 0.5)]
    for i, one in enumerate(outputs):
        for other in outputs[:i]:
            assert (one - other).flatten(1).norm(dim=1).min() > 1e-3


WITH_CONTEXT = [name for name in NAMES if "context" in inspect.signature(networks.by_name(name)).parameters]


@pytest.mark.parametrize("name", WITH_CONTEXT)
def test_a_context_matters_for_its_own_row_and_none_is_a_row_of_zeros(name, x):
    network, generator = build(name, classes=3, context=4), torch.Generator().manual_seed(2)
    context, label = torch.randn(5, 4, generator=generator), torch.tensor([0, 1, 2, -1, 0])
    given = network(x, C, label, context=context)
    assert torch.equal(network(x, C, label), network(x, C, label, context=torch.zeros(5, 4)))
    assert (given - network(x, C, label)).flatten(1).norm(dim=1).min() > 1e-3
    assert (given - network(x, C, context=context)).flatten(1).norm(dim=1)[[0, 1, 2, 4]].min() > 1e-3
    other = network(x, C, label, context=torch.where(torch.arange(5)[:, None] == 2, 0.5, context))
    changed = (given - other).flatten(1).norm(dim=1) > 1e-4
    assert changed.tolist() == [False, False, True, False, False]
    for wrong in (torch.zeros(4), torch.zeros(5, 3), torch.zeros(1, 4)):
        with pytest.raises(ValueError, match=r"takes context of shape \(5, 4\), got"):
            network(x, C, label, context=wrong)
    with pytest.raises(ValueError, match="built without a context but got one"):
        build(name)(x, C, context=context)


@pytest.mark.parametrize("name", NAMES)
def test_infinite_log_snr_is_an_ordinary_input(name, x):
    network = build(name)
    ends = [network(x, c) for c in (-float("inf"), float("inf"))]
    assert all(torch.isfinite(end).all() for end in ends)
    assert not torch.allclose(*ends)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_reaches_every_parameter_within_three_steps(name, x):
    """The zero layers hold back the gradient of what lies before them: one step opens each layer of zeros."""
    network = networks.by_name(name).fitting(EVENT, **SMALL.get(name, {}), classes=3)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(4):
        optimiser.zero_grad()
        (network(x, C, torch.tensor([0, 1, 2, -1, 0])) - x).square().mean().backward()
        optimiser.step()
    dead = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.abs().max() > 0]
    assert dead == []


@pytest.mark.parametrize("name", NAMES)
def test_checkpointing_keeps_less_and_changes_no_bit(name, x):
    found = []
    for checkpointing in (False, True):
        network, kept = build(name), []
        network.checkpointing = checkpointing
        with torch.autograd.graph.saved_tensors_hooks(lambda z, kept=kept: kept.append(z.nbytes) or z, lambda z: z):
            loss = network(x, C).square().sum()
        loss.backward()
        found.append(([parameter.grad for parameter in network.parameters()], sum(kept)))
    (plain, all_kept), (again, less) = found
    assert all(map(torch.equal, plain, again))
    assert less < all_kept


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_built_again_from_its_arguments(name):
    network = networks.by_name(name).fitting(EVENT, **SMALL.get(name, {}), classes=3)
    again = type(network)(**network.arguments)
    assert again.arguments == network.arguments
    assert again.load_state_dict(network.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_float64_follows_x_and_agrees_with_float32(name, x):
    network = build(name)
    single = network(x, C)
    double = network.double()(x.double(), C)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), single, rtol=0, atol=1e-4 * float(single.detach().abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_forward_and_second_derivatives_exist_and_agree(name, x):
    """v . J u by forward mode equals it by reverse mode; the gradient of |J^T v|^2 is that of finite differences."""
    network, x = build(name).double(), x[:2].double()
    u, v = torch.randn(2, *x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    pushed = torch.func.jvp(lambda z: network(z, 0.5), (x,), (u,))[1]

    def pulled(z):
        return torch.func.vjp(lambda w: network(w, 0.5), z)[1](v)[0]

    torch.testing.assert_close((v * pushed).sum(), (pulled(x) * u).sum())
    slope = (torch.func.grad(lambda z: pulled(z).square().sum())(x) * u).sum()
    h = 1e-5
    difference = (pulled(x + h * u).square().sum() - pulled(x - h * u).square().sum()) / (2 * h)
    torch.testing.assert_close(slope, difference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_and_the_answer_are_functions_of_the_seed(name, x):
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        network = networks.by_name(name).fitting(EVENT, **SMALL.get(name, {}))
        return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    network = build(name)
    assert torch.equal(network(x, C), network(x, C))


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_a_function_of_state_level_and_label(name):
    """16 pairs with targets that need all three inputs: 100 steps of Adam explain 95 % of the variance."""
    g = torch.Generator().manual_seed(3)
    x, c, labels = torch.randn(16, *EVENT, generator=g), torch.linspace(-8, 8, 16), torch.arange(16) % 2
    target = (0.5 * x.flip(-1) + torch.sin(c)[:, None, None, None]) * (1 + labels[:, None, None, None])
    network = networks.by_name(name).fitting(EVENT, **SMALL.get(name, {}), classes=2)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(100):
        optimiser.zero_grad()
        loss = (network(x, c, labels) - target).square().mean()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.05 * float(target.var())


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused_in_a_sentence(name, x):
    network, conditional = build(name), build(name, classes=3)
    with pytest.raises(ValueError, match=r"c_time has shape \(\) or \(5,\), got \(4,\)"):
        network(x, C[:4])
    with pytest.raises(ValueError, match="built without classes"):
        network(x, C, torch.tensor(1))
    with pytest.raises(ValueError, match=r"labels lie in 0 .. 2, or -1 for none, got 3 to 3"):
        conditional(x, C, torch.tensor(3))
    with pytest.raises(ValueError, match="labels are integers"):
        conditional(x, C, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="labels are integers"):
        conditional(x, C, torch.zeros(5))
    with pytest.raises(ValueError, match="this "):
        network(x[:, :1], C)


def test_every_backbone_is_found_and_takes_the_common_options():
    found = implementations(networks, networks.Backbone)
    assert {"mlp", "unet", "dit"} <= set(found)
    for cls in found.values():
        assert "classes" in inspect.signature(cls).parameters


@pytest.mark.global_rng
@pytest.mark.parametrize("name", NAMES)
def test_dropout_leaves_a_share_out_in_training_alone(name, x):
    """In eval mode it is the network without dropout, bit for bit; in train mode two calls differ."""
    plain, dropped = build(name).eval(), build(name, dropout=0.4)
    assert torch.equal(plain(x, C), dropped.eval()(x, C))
    dropped.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = dropped(x, C), dropped(x, C)
    assert not torch.equal(first, second)
    with pytest.raises(ValueError, match="dropout"):
        build(name, dropout=1.5)
