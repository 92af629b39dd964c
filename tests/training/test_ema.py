"""The average against its closed form, against torch's own, and against the definition of what it does not average."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from sde_diffusion.training import EMA

DECAYS = st.sampled_from([0.0, 0.3, 0.9, 0.999])


def scalar(value: float) -> nn.Module:
    model = nn.Module()
    model.w = nn.Parameter(torch.tensor([value], dtype=torch.float64))
    return model


@given(decay=DECAYS, weights=st.lists(st.floats(-10, 10), min_size=2, max_size=40))
def test_it_is_the_closed_form_sum(decay, weights):
    model = scalar(weights[0])
    ema = EMA(model, decay)
    for value in weights[1:]:
        model.w.data.fill_(value)
        ema.update()
    kept = [min(decay, (1 + n) / (10 + n)) for n in range(len(weights) - 1)]
    shares = [math.prod(kept), *((1 - d) * math.prod(kept[i + 1 :]) for i, d in enumerate(kept))]
    expected = sum(share * value for share, value in zip(shares, weights, strict=True))
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    assert ema.model.w.item() == pytest.approx(expected, abs=1e-12)
    assert ema.count == len(weights) - 1


def test_it_is_torchs_averaged_model():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()
    ema, count = EMA(model, 0.95), 0
    oracle = AveragedModel(model, avg_fn=lambda a, w, _: a + (1 - min(0.95, (1 + count) / (10 + count))) * (w - a))
    oracle.update_parameters(model)  # the first call copies
    generator = torch.Generator().manual_seed(0)
    for count in range(300):  # noqa: B007 (read by avg_fn)
        for p in model.parameters():
            p.data.add_(torch.randn(p.shape, generator=generator, dtype=p.dtype))
        ema.update()
        oracle.update_parameters(model)
    for mine, theirs in zip(ema.model.parameters(), oracle.module.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-13, atol=1e-13)


def test_buffers_are_those_of_the_model():
    model = nn.Sequential(nn.BatchNorm1d(2))
    ema = EMA(model, 0.9)
    model.train()(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    ema.update()
    assert torch.equal(ema.model[0].running_mean, model[0].running_mean)
    assert ema.model[0].num_batches_tracked == 1


def test_the_copy_is_a_copy():
    model = scalar(1.0)
    ema = EMA(model.train())
    assert not ema.model.training
    model.w.data.fill_(9.0)
    assert ema.model.w.item() == 1.0
    ema.update()
    assert model.w.item() == 9.0


def test_it_follows_a_model_that_moved_to_another_dtype():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    ema = EMA(model, 0.5)
    model.to(torch.float64)
    ema.model.to(torch.float64)
    model[0].weight.data.fill_(2.0)
    model[1].running_mean.fill_(3.0)
    before = ema.model[0].weight.clone()
    ema.update()
    torch.testing.assert_close(ema.model[0].weight, 0.1 * before + 0.9 * 2.0)
    assert torch.equal(ema.model[1].running_mean, model[1].running_mean)


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        EMA(scalar(0.0), decay)
