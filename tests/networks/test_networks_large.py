"""U-Net and DiT of one, two and three dimensions: layouts, compilers, checkpoints, and the parts they are made of."""

from __future__ import annotations

import copy
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from sde_diffusion.networks import Backbone, DiT, UNet
from sde_diffusion.networks.blocks import Double, Halve, from_patches, modulated, normalisation, to_patches
from sde_diffusion.networks.dit import places

EVENTS = [(2, 8), (2, 8, 4), (2, 4, 4, 8)]
C = torch.tensor([-3.0, 0.7])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(network: Backbone) -> Backbone:
    """Every weight moved off its start."""
    draw = generator(5)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2, generator=draw)
    return network


def unet(event: tuple[int, ...] = EVENTS[1], **options) -> Backbone:
    return moved(UNet.fitting(event, width=8, attention=(1,), **options))


def dit(event: tuple[int, ...] = EVENTS[1], **options) -> Backbone:
    return moved(DiT.fitting(event, width=24, depth=2, heads=2, **options))


BOTH = pytest.mark.parametrize("build", [unet, dit])


@pytest.mark.parametrize("event", EVENTS, ids=len)
@BOTH
def test_every_rank_keeps_the_shape_and_joins_every_axis(build, event):
    """Moving one number of one corner moves the opposite corner, along every axis and channel."""
    network = build(event).double()
    x = torch.randn(2, *event, dtype=torch.float64, generator=generator())
    nudged = x.clone()
    nudged[(0, *(0,) * len(event))] += 1
    there, back = network(x, C), network(nudged, C)
    assert there.shape == x.shape
    assert (there - back)[0][(-1,) * len(event)].abs() > 1e-6
    assert torch.equal(there[1], back[1])


@pytest.mark.parametrize("rank", [1, 3])
def test_a_flat_axis_adds_nothing_but_its_own_taps(rank):
    """Residual blocks of rank 1 and 3 are those of rank 2: data constant along the added axis give the same answer.

    The kernel of the larger rank is the smaller one in the middle of zeros.
    """
    plane, other = UNet(2, width=8, rank=2), UNet(2, width=8, rank=rank)
    weights = moved(plane).state_dict()
    middle = dict(weights)
    for name, value in other.state_dict().items():
        if value.ndim > 2 and rank == 1:
            middle[name] = weights[name][..., value.shape[-1] // 2]
            weights[name] = torch.zeros_like(weights[name])
            weights[name][..., value.shape[-1] // 2] = middle[name]
        elif value.ndim > 2:
            middle[name] = torch.zeros_like(value)
            middle[name][..., value.shape[-1] // 2] = weights[name]
    plane.load_state_dict(weights)
    other.load_state_dict(middle)
    x = torch.randn(2, 2, 8, 4, generator=generator())
    flat = x[..., :1].expand(-1, -1, -1, 4) if rank == 1 else x
    inside = flat[..., 0] if rank == 1 else flat[..., None].expand(-1, -1, -1, -1, 2)
    there, here = plane(flat, C), other(inside.contiguous(), C)
    torch.testing.assert_close(
        here, there[..., 0] if rank == 1 else there[..., None].expand_as(here), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("axes", [(6,), (6, 4), (2, 6, 4)], ids=len)
def test_resampling_is_the_mean_of_neighbours_and_its_transpose(axes):
    x = torch.randn(2, 3, *axes, dtype=torch.float64, generator=generator())
    halved, cells = Halve()(x), list(product((0, 1), repeat=len(axes)))
    neighbours = [x[(..., *(slice(i, None, 2) for i in cell))] for cell in cells]
    torch.testing.assert_close(halved, sum(neighbours) / len(cells))
    y = torch.randn(halved.shape, dtype=torch.float64, generator=generator(1))
    torch.testing.assert_close((Double()(y) * x).sum(), len(cells) * (y * halved).sum())


def test_modulation_inside_the_norm_is_the_modulation_after_it():
    """Values and all gradients, in one pass over contiguous memory and in two over any other."""
    norm = moved(normalisation(12)).double()
    gain, shift = torch.randn(2, 3, 12, dtype=torch.float64, generator=generator())
    x = torch.randn(3, 12, 5, 4, dtype=torch.float64, generator=generator(1))
    plain = (1 + gain[..., None, None]) * norm(x) + shift[..., None, None]
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.testing.assert_close(modulated(norm, x.to(memory_format=layout), gain, shift), plain)
    leaves = [z.detach().clone().requires_grad_() for z in (x[:2, :, :2, :2], gain[:2], shift[:2])]
    assert torch.autograd.gradcheck(lambda *z: modulated(norm, *z), leaves)
    slopes = [torch.autograd.grad(y.square().sum(), norm.weight)[0] for y in (modulated(norm, x, gain, shift), plain)]
    torch.testing.assert_close(*slopes)


@pytest.mark.parametrize("channels", range(1, 70))
def test_groups_divide_the_channels_and_hold_four_where_they_can(channels):
    groups = normalisation(channels).num_groups
    assert channels % groups == 0
    assert groups == 1 or channels // groups >= 4
    assert groups <= 32


@BOTH
def test_the_layout_of_memory_does_not_matter(build):
    network, x = build(), torch.randn(2, *EVENTS[1], generator=generator())
    plain = network(x, C)
    last = network.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last), C)
    torch.testing.assert_close(last, plain, rtol=1e-4, atol=1e-4 * float(plain.detach().abs().max()))


@BOTH
def test_without_gradients_the_answer_is_the_same_bit_for_bit(build):
    network, x = build(), torch.randn(2, *EVENTS[1], generator=generator())
    kept = x.clone()
    with torch.no_grad():
        quick = network(x, C)
    assert torch.equal(quick, network(x, C))
    assert torch.equal(x, kept)


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@BOTH
def test_a_compiler_finds_no_break(build, checkpointing):
    network = build(classes=3, dropout=0.0, checkpointing=checkpointing)
    x, label = torch.randn(2, *EVENTS[1], generator=generator()), torch.tensor([1, -1])
    whole = torch.compile(network, fullgraph=True, backend="eager")
    torch.testing.assert_close(whole(x, C, label), network(x, C, label), rtol=1e-4, atol=1e-5)
    torch.compiler.reset()


def gradients(network: Backbone, x: Tensor) -> tuple[list[Tensor], int]:
    """The gradients of all parameters, and the bytes that were kept for them."""
    bytes_kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal bytes_kept
        bytes_kept += tensor.nbytes
        return tensor

    torch.manual_seed(0)
    network.zero_grad()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network.train()(x, C).square().sum()
    loss.backward()
    return [parameter.grad.clone() for parameter in network.parameters()], bytes_kept


@pytest.mark.global_rng
@BOTH
def test_checkpoints_keep_less_and_change_no_bit(build):
    """With dropout, which must draw the same numbers again."""
    x = torch.randn(2, *EVENTS[1], generator=generator())
    plain, kept = gradients(build(dropout=0.3), x)
    again, less = gradients(build(dropout=0.3, checkpointing=True), x)
    assert all(map(torch.equal, plain, again))
    assert less < kept / 3


@BOTH
def test_checkpoints_stand_back_where_derivatives_are_asked_for(build):
    network, x = build(checkpointing=True).double(), torch.randn(2, *EVENTS[1], generator=generator()).double()
    slope = torch.func.grad(lambda z: network(z, C).square().sum())(x)
    network.checkpointing = False
    assert torch.equal(slope, torch.func.grad(lambda z: network(z, C).square().sum())(x))


@pytest.mark.global_rng
@BOTH
def test_dropout_is_for_training_only(build):
    network, x = build(dropout=0.5), torch.randn(2, *EVENTS[1], generator=generator())
    torch.manual_seed(0)
    one, other = network.train()(x, C), network(x, C)
    assert not torch.equal(one, other)
    network.eval()
    assert torch.equal(network(x, C), network(x, C))


@pytest.mark.parametrize("event", [(3, 6), (3, 6, 4), (3, 2, 6, 4)], ids=len)
def test_patches_are_those_of_a_convolution_and_come_back(event):
    network = DiT(event, patch=2, width=12, depth=1)
    x = torch.randn(2, *event, generator=generator())
    tokens = network._patches(x)
    assert torch.equal(network._joined(tokens), x)
    weight = network.enter.weight.unflatten(1, (3, *(2,) * (len(event) - 1)))
    convolved = getattr(nn.functional, f"conv{len(event) - 1}d")(x, weight, network.enter.bias, stride=2)
    torch.testing.assert_close(network.enter(tokens), convolved.flatten(2).mT, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_patches_are_channels(rank):
    """Channel (c, i) at the place s is x[c, 3 s + i], and back; a U-Net with patches is one of those channels."""
    x = torch.randn(2, 2, *(6, 3, 9)[:rank], generator=torch.Generator().manual_seed(0))
    found = to_patches(x, 3)
    assert torch.equal(from_patches(found, 3), x)
    for number, (channel, *inside) in enumerate(product(range(2), *[range(3)] * rank)):
        assert torch.equal(found[:, number], x[(slice(None), channel, *(slice(i, None, 3) for i in inside))])
    fine, coarse = (UNet(2 * n, width=8, multipliers=(1,), rank=rank, patch=p) for n, p in ((1, 3), (3**rank, 1)))
    coarse.load_state_dict(moved(fine).state_dict())
    torch.testing.assert_close(fine(x, 0.3), from_patches(coarse(found, 0.3), 3), rtol=0, atol=0)


@pytest.mark.parametrize("grid", [(100,), (10, 12), (4, 5, 6)], ids=len)
def test_no_two_places_look_alike(grid):
    told = places(grid, 60)
    apart = torch.cdist(told, told) + torch.eye(len(told)) * 9
    assert apart.min() > 0.5
    assert told.abs().max() <= 1


def test_a_copy_of_a_network_remembers_its_arguments():
    network = UNet.fitting((1, 8, 8), width=16, classes=2)
    wanted = {"channels": 1, "width": 16, "classes": 2, "rank": 2}
    assert network.arguments == wanted == copy.deepcopy(network).arguments
    assert DiT((1, 4, 4), 2).arguments == {"event_shape": (1, 4, 4), "patch": 2}


def test_senseless_arguments_are_refused():
    for call, words in [
        (lambda: UNet(rank=4), "1, 2 or 3 axes"),
        (lambda: UNet(dropout=1.0), r"share in \[0, 1\)"),
        (lambda: UNet(patch=0), "patch is the side of a block"),
        (lambda: UNet.fitting((1, 6, 8), patch=2), "divisible by 4"),
        (lambda: DiT((1, 5, 4)), "divisible by its patch 2"),
        (lambda: DiT((4,)), "try TimeMLP"),
        (lambda: DiT((1, 4, 4), depth=0), "at least 1"),
        (lambda: UNet.fitting((1, 2, 2, 2, 2)), "try TimeMLP"),
    ]:
        with pytest.raises(ValueError, match=words):
            call()
