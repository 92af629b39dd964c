"""The power-function averages against torch's own averaged model, in low precision, with tied weights, without a wait."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from sde_diffusion.training import EMA
from sde_diffusion.training.ema.average import Average
from sde_diffusion.training.ema.exponential import warmed_up
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.ema.profile import gamma_of
from tests.test_synchronisation import Watch, on_device


def walked(model: nn.Module, generator: torch.Generator) -> None:
    for p in model.parameters():
        p.data.add_(torch.randn(p.shape, generator=generator).to(p.dtype))


@pytest.mark.parametrize("length", [0.03, 0.1, 0.25])
def test_it_is_torchs_averaged_model(length):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()
    power, gamma, t = PowerAverages.of(model, [0.15, length]), gamma_of(length), 1
    oracle = AveragedModel(model, avg_fn=lambda a, w, _: (1 - 1 / t) ** (gamma + 1) * (a - w) + w)
    oracle.update_parameters(model)  # the first call copies
    generator = torch.Generator().manual_seed(0)
    for t in range(1, 300):  # noqa: B007 (read by avg_fn)
        walked(model, generator)
        power.update()
        oracle.update_parameters(model)
    for name, theirs in oracle.module.named_parameters():
        torch.testing.assert_close(power.state_dict()[f"{length}/{name}"], theirs.detach(), rtol=1e-12, atol=1e-12)


def test_after_one_update_it_is_the_weights():
    model = nn.Linear(2, 2)
    power = PowerAverages.of(model, [0.05])
    walked(model, torch.Generator().manual_seed(0))
    power.update()
    assert torch.equal(power.state_dict()["0.05/weight"], model.weight)


def test_weights_of_16_bits_are_averaged_in_32():
    """Both rules, against sums in float64; bfloat16 has steps of 1/128 here."""
    model, uniform = nn.Linear(1, 1, bias=False).bfloat16(), 0.28867
    power, ema, exact = PowerAverages.of(model, [uniform]), EMA(model, 0.95), model.weight.item()
    values = [1 + (k % 64) / 128 for k in range(100)]
    for n, value in enumerate(values):
        model.weight.data.fill_(value)
        power.update()
        ema.update()
        exact += (1 - warmed_up(0.95, n)) * (value - exact)
    average = power.state_dict()[f"{uniform}/weight"]
    assert (average.dtype, ema.model.weight.dtype, model.weight.dtype) == (torch.float32, torch.float32, torch.bfloat16)
    assert average.item() == pytest.approx(sum(values) / 100, rel=1e-4)
    assert ema.model.weight.item() == pytest.approx(exact, rel=1e-6)


def test_tied_weights_are_averaged_once_and_named_twice():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    power, ema = PowerAverages.of(model, [0.1]), EMA(model, 0.9)
    walked(model, torch.Generator().manual_seed(0))
    power.update()
    ema.update()
    state = power.state_dict()
    assert list(state) == ["0.1/0.weight", "0.1/1.weight"]
    assert torch.equal(*state.values())
    assert ema.state_dict().keys() == model.state_dict().keys()


def test_none_are_none():
    power = PowerAverages()
    power.update()
    power.begin_at(3)
    assert power.state_dict() == {}


RULES = {"power": lambda m: PowerAverages.of(m, [0.05, 0.1]), "decay": lambda m: Average(partial(warmed_up, 0.9), m)}


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_update_waits_for_the_device(make, dtype):
    model = nn.Sequential(nn.Linear(3, 3, dtype=dtype), nn.BatchNorm1d(3))
    with on_device() as (_, device):
        average = make(model._apply(lambda p: torch.empty_like(p, device=device)))
        with Watch():
            for _ in range(3):
                average.update()
        (first, *_) = average.state_dict().values()
        assert first.device.type == "cuda"
