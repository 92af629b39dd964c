"""Number formats: the weights stay float32, the curve stays near, and the loss scale moves as it says."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.sde import VP
from sde_diffusion.training import ComputeSettings, train
from sde_diffusion.training.precision import PATIENT, LossScale, tf32_policy

CPU = torch.device("cpu")


def curve(run, compute, **changes):
    whole = run(**changes)
    reports = train(whole.denoiser, VP(), whole.data, whole.settings, labels=whole.labels, compute=compute)
    return whole, [report.loss for report in reports]


def test_bfloat16_rounds_the_network_and_not_the_weights(run):
    """8 bits of mantissa: the losses agree to a few per cent and differ."""
    whole, half = curve(run, ComputeSettings(precision="bfloat16"))
    _, full = curve(run, ComputeSettings())
    assert half == pytest.approx(full, rel=0.05)
    assert half != full
    assert {p.dtype for p in whole.denoiser.parameters()} == {torch.float32}


def test_the_loss_scale_cancels(run):
    """A power of two in front of the loss and behind the gradient changes no bit of float32."""
    from sde_diffusion.training.ema import EMA
    from sde_diffusion.training.state import TrainState
    from sde_diffusion.training.step import adam, update
    from sde_diffusion.training.tally import Tally

    ends = []
    for factor in (1.0, 2.0**10):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        scale = LossScale("float32", CPU)
        scale.numbers[0] = factor
        state = TrainState(model, EMA(model), adam(model, 0.1), Tally(CPU), scale)
        loss = model(torch.ones(4, 3)).square().mean()
        (loss * factor).backward()
        update(state, loss.detach(), 0.1, 0.01)
        ends.append(model.weight.detach().clone())
    assert torch.equal(*ends)


def test_the_loss_scale_halves_and_doubles():
    scale = LossScale("float16", CPU)
    scale.update(torch.tensor(1.0))
    assert scale.factor == 2.0**15
    for _ in range(PATIENT - 1):
        scale.update(torch.tensor(0.0))
    assert scale.factor == 2.0**15
    scale.update(torch.tensor(0.0))
    assert scale.factor == 2.0**16
    again = LossScale("float16", CPU)
    again.load(scale.state())
    assert torch.equal(again.numbers, scale.numbers)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_the_policy_on_tf32_is_kept_and_given_back(precision):
    before = torch.backends.cudnn.allow_tf32
    with tf32_policy(precision):
        both = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        assert both == (precision == "tf32",) * 2
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize("wrong", [{"precision": "fp8"}, {"engine": "magic"}, {"timeout": 0.0}])
def test_settings_that_nobody_knows_are_refused(wrong, is_sentence):
    with pytest.raises(ValueError, match=r"precision|engine|timeout") as said:
        ComputeSettings(**wrong)
    assert is_sentence(said.value)
