"""Attention against the formula written out: values, both kinds of first derivative, the second, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from sde_diffusion.networks import attention
from sde_diffusion.networks.attention import HeadedAttention, attend, transformed, twice_differentiable

SHAPE = (2, 3, 7, 4)  # samples, heads, tokens, width of a head


def written_out(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1) @ value


def normals(count: int) -> Tensor:
    return torch.randn(count, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def chosen(monkeypatch) -> list[bool]:
    """For every call of torch's attention, whether the elementary operations were asked for."""
    seen, torchs = [], attention.scaled_dot_product_attention

    def watched(*parts: Tensor) -> Tensor:
        seen.append(not torch.backends.cuda.flash_sdp_enabled())
        return torchs(*parts)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", watched)
    return seen


def test_values_and_first_derivatives_come_from_the_fused_kernels(chosen):
    leaves = normals(3).requires_grad_()
    weights = normals(4)[3]
    ours, theirs = attend(*leaves), written_out(*leaves)
    assert chosen == [False]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    slopes = [torch.autograd.grad((weights * y).sum(), leaves)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-12)


def test_forward_derivatives_by_transform_and_by_dual_numbers(chosen):
    at, along = tuple(normals(3)), tuple(normals(6)[3:])
    wanted = torch.func.jvp(written_out, at, along)[1]
    torch.testing.assert_close(torch.func.jvp(attend, at, along)[1], wanted, rtol=0, atol=1e-12)
    with forward_ad.dual_level():
        dual = attend(*(forward_ad.make_dual(x, v) for x, v in zip(at, along, strict=True)))
        torch.testing.assert_close(forward_ad.unpack_dual(dual).tangent, wanted, rtol=0, atol=1e-12)
    assert chosen == [True, True]


def norm_of_slope(function, x: Tensor) -> Tensor:
    """|d sum(f(x, 2 x, x^2)) / dx|^2 by torch.func."""
    return torch.func.grad(lambda z: function(z, 2 * z, z**2).sum())(x).square().sum()


def test_second_derivatives_within_transforms_need_nothing():
    x = normals(1)[0]
    slopes = [torch.func.grad(lambda z, f=f: norm_of_slope(f, z))(x) for f in (attend, written_out)]
    torch.testing.assert_close(*slopes, rtol=0, atol=1e-11)


def test_second_derivatives_by_create_graph_need_the_context():
    def twice(function) -> Tensor:
        x = normals(1)[0].requires_grad_()
        (slope,) = torch.autograd.grad(function(x, 2 * x, x**2).sum(), x, create_graph=True)
        return torch.autograd.grad(slope.square().sum(), x)[0]

    with pytest.raises(RuntimeError, match=r"derivative for .*attention.* is not implemented"):
        twice(attend)
    with twice_differentiable():
        ours = twice(attend)
    torch.testing.assert_close(ours, twice(written_out), rtol=0, atol=1e-11)
    assert torch.backends.cuda.flash_sdp_enabled(), "the choice of a kernel is not given back"


def test_transforms_are_seen_and_only_while_they_last():
    seen = []
    torch.func.grad(lambda z: (seen.append(transformed()), z.sum())[1])(torch.ones(2))
    torch.func.vmap(lambda z: (seen.append(transformed()), z)[1])(torch.ones(2))
    with forward_ad.dual_level():
        seen.append(transformed())
    assert seen == [True, True, True]
    assert not transformed()


def test_heads_are_those_of_the_formula():
    layer = HeadedAttention(12, 3).double()
    tokens = torch.randn(2, 7, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    query, key, value = layer.query_key_value(tokens).chunk(3, dim=-1)
    heads = [written_out(*(z[..., h : h + 4] for z in (query, key, value))) for h in (0, 4, 8)]
    torch.testing.assert_close(layer(tokens), layer.out(torch.cat(heads, -1)), rtol=0, atol=1e-13)
    with pytest.raises(ValueError, match="heads divide the width"):
        HeadedAttention(12, 5)
