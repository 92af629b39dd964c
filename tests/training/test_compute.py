"""Number formats: the weights stay float32, the curve stays near, and the loss scale moves as it says."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.sde import VP
from sde_diffusion.training import ComputeSettings, train
from sde_diffusion.training.metrics import RunningMetrics
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
    from sde_diffusion.training.ema.exponential import EMA
    from sde_diffusion.training.state import TrainState
    from sde_diffusion.training.step import adam, update

    ends = []
    for factor in (1.0, 2.0**10):
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 2)
        scale = LossScale("float32", CPU)
        scale.numbers[0] = factor
        state = TrainState(model, EMA(model), adam(model, 0.1), RunningMetrics(CPU), scale)
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


def test_float16_follows_float32_until_its_scale_is_too_large(run):
    """11 bits of mantissa; where gradients overflow the scale of 2^16 a step is skipped, and the run goes on."""
    _, half = curve(run, ComputeSettings(precision="float16"))
    _, full = curve(run, ComputeSettings())
    lost = [step for step, loss in enumerate(half) if math.isnan(loss)]
    same = lost[0] if lost else len(half)
    assert half[:same] == pytest.approx(full[:same], rel=0.01)
    assert half[:same] != full[:same]
    assert len(lost) <= 3
    assert math.isfinite(half[-1])


def test_an_overflow_under_a_large_scale_ends_no_row():
    """It is the scale's fault and is halved away; a loss that is not finite counts all the same."""
    tally, inf, one = RunningMetrics(CPU), torch.tensor(float("inf")), torch.tensor(1.0)
    for scaled in (True, True, False):
        tally.add(one, inf, torch.tensor(scaled))
    assert (tally.read().worst, tally.read().skipped) == (1, 3)
    tally.add(inf, inf, torch.tensor(True))
    assert tally.read().row == 2


@pytest.mark.parametrize("numbers", [[0.0, 1.0], [2.0**17, 0.0], [4.0, -1.0], [float("nan"), 0.0]])
def test_a_foreign_loss_scale_is_refused(numbers, is_sentence):
    with pytest.raises(ValueError, match="loss scale") as said:
        LossScale("float16", CPU).load({"loss_scale": numbers})
    assert is_sentence(said.value)


@pytest.mark.global_rng
def test_a_compiled_network_follows_the_curve_and_is_compiled_once(run, monkeypatch):
    """The front end of the compiler, with the graph run as it stands: one program for all steps, the names unchanged.

    The front end sets the global generator aside and puts it back, which looks like a draw.
    """
    from torch._dynamo.testing import CompileCounter

    torch._dynamo.reset()
    counter, compiled = CompileCounter(), torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled(module, backend=counter))
    whole, fast = curve(run, ComputeSettings(compile=True))
    _, plain = curve(run, ComputeSettings())
    assert fast == pytest.approx(plain, rel=1e-6)
    assert list(whole.denoiser.state_dict()) == list(run().denoiser.state_dict())
    assert counter.frame_count == 1
    torch._dynamo.reset()


def pictures(layout: bool, steps: int, folder=None) -> tuple[torch.nn.Module, list[float]]:
    """A small U-Net on random pictures, and its losses."""
    from sde_diffusion.denoisers.base import Preconditioned
    from sde_diffusion.networks import UNet
    from sde_diffusion.parameterization import EDMPreconditioning
    from sde_diffusion.training import TrainSettings

    torch.manual_seed(3)
    denoiser = Preconditioned(UNet(2, width=8, attention=(1,)), EDMPreconditioning())
    data = torch.randn(16, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    settings = TrainSettings(steps=6, batch_size=4, log_every=1, warmup=1, checkpoint_every=1)
    losses = []
    compute = ComputeSettings(channels_last=layout)
    for report in train(denoiser, VP(), data, settings, compute=compute, folder=folder):
        losses.append(report.loss)
        if report.step == steps:
            break
    return denoiser, losses


def test_channels_last_is_a_layout_and_nothing_else(tmp_path):
    """Convolutions lie with their channels last, the losses agree, and either layout goes on with the other's files."""
    (model, last), (_, first) = pictures(True, 6), pictures(False, 6)
    kernels = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert kernels
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in kernels)
    assert last == pytest.approx(first, rel=1e-4)
    pictures(True, 3, tmp_path)
    assert pictures(False, 6, tmp_path)[1] == pytest.approx(first[3:], rel=1e-4)
