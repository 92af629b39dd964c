"""Number formats: the weights stay float32, the curve stays near."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.sde import VP
from sde_diffusion.training import ComputeSettings, train
from sde_diffusion.training.precision import tf32_policy


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


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_the_policy_on_tf32_is_kept_and_given_back(precision):
    before = torch.backends.cudnn.allow_tf32
    with tf32_policy(precision):
        both = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        assert both == (precision == "tf32",) * 2
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.mark.parametrize(
    "wrong", [{"precision": "fp8"}, {"precision": "float16"}, {"engine": "magic"}, {"timeout": 0.0}]
)
def test_settings_that_nobody_knows_are_refused(wrong, is_sentence):
    with pytest.raises(ValueError, match=r"precision|engine|timeout") as said:
        ComputeSettings(**wrong)
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


def test_the_average_lies_in_memory_as_the_weights_do():
    """One fused operation updates it only then; and it is the same average."""
    from sde_diffusion.denoisers.base import Preconditioned
    from sde_diffusion.networks import UNet
    from sde_diffusion.parameterization import EDMPreconditioning
    from sde_diffusion.training import EMA, TrainSettings

    averages = []
    for layout in (True, False):
        torch.manual_seed(3)
        denoiser = Preconditioned(UNet(2, width=8, attention=(1,)), EDMPreconditioning())
        data, ema = torch.randn(16, 2, 8, 8, generator=torch.Generator().manual_seed(0)), EMA(denoiser, 0.9)
        settings = TrainSettings(steps=4, batch_size=4, log_every=4, ema_decay=0.9)
        for _ in train(denoiser, VP(), data, settings, compute=ComputeSettings(channels_last=layout), ema=ema):
            pass
        pairs = list(zip(denoiser.parameters(), ema.model.parameters(), strict=True))
        assert all(weight.stride() == average.stride() for weight, average in pairs)
        averages.append(torch.cat([average.flatten() for _, average in pairs]))
    torch.testing.assert_close(*averages, rtol=1e-3, atol=1e-5)
