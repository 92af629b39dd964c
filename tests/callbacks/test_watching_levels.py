"""The error by noise level against exactly known laws, its bounds, and the file that a resumed run goes on with."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from sde_diffusion.callbacks import HeldOut, Levels
from sde_diffusion.callbacks.levels import (
    POINTS,
    grid,
    times,
    weight_of,
)
from sde_diffusion.callbacks.spectrum import bounds, spectra
from sde_diffusion.data import by_name
from sde_diffusion.exact import ExactDenoiser, Gaussian, problems
from sde_diffusion.objectives import (
    ContinuousBound,
    DenoisingScoreMatching,
    EDMWeighting,
    simple,
    uniform_log_snr,
)
from sde_diffusion.objectives.dequantised import Dequantised
from sde_diffusion.sde import VE, VP
from sde_diffusion.training import Doubling, Every
from tests.callbacks.test_watching_held_out import network

PLAIN = DenoisingScoreMatching()


def levels(folder, sde, data, events, objective=PLAIN, **more) -> Levels:
    return Levels(Doubling(100), folder, sde, objective, data, events, **more)


def draws(law, count, seed):
    return law.sample(count, torch.Generator().manual_seed(seed)).float()


def best(law, sde, count=100_000):
    """E|x_0|^2 - E|E[x_0|x_t]|^2 over D at each level: the least possible error, from other draws, with its own error."""
    generator = torch.Generator().manual_seed(99)
    x0 = law.sample(count, generator)
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    found = []
    for t in times(sde, grid(sde)).tolist():
        kernel = sde.kernel(t)
        known = law.denoise(kernel.perturb(x0, noise), kernel)
        found.append((x0.square() - known.square()).flatten(1).mean(1))
    rows = torch.stack(found)
    return rows.mean(1), rows.std(1) / count**0.5


@pytest.mark.parametrize("sde", [VP(), VE()], ids=["vp", "ve"])
def test_the_best_denoiser_of_a_mixture_has_the_best_curve(tmp_path, sde):
    """At every level, within 5 standard errors of both; it lies below the linear bound, and far below in the middle."""
    law = problems.ring8()
    observer = levels(tmp_path, sde, draws(law, 8000, 1), draws(law, 8000, 2))
    error, deviation = observer.measure(ExactDenoiser(law))
    least, spread = best(law, sde)
    assert ((error - least).abs() < 5 * (deviation + spread)).all()
    wiener = torch.tensor(observer.head["bounds"]["wiener"])
    assert (error < wiener + 4 * deviation).all()
    assert (error < wiener / 2).any()


def test_of_gaussian_data_the_wiener_filter_is_the_best():
    """The bound from 200000 draws is the exact error of the law, and that of the exact denoiser, at every level."""
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    law, sde = Gaussian(torch.tensor([0.5, -1.0]), covariance), VP()
    snr = grid(sde).exp()
    values = torch.linalg.eigvalsh(covariance)
    exact = (values / (1 + snr[:, None] * values)).mean(1)
    found = bounds(spectra(draws(law, 8192, 3)), grid(sde))
    torch.testing.assert_close(found["wiener"], exact, rtol=0.06, atol=0)
    torch.testing.assert_close(found["mean"], covariance.trace().expand(POINTS) / 2, rtol=0.06, atol=0)
    torch.testing.assert_close(found["noisy"], 1 / snr)
    observer = Levels(Every(1), "nowhere", sde, PLAIN, draws(law, 100, 4), draws(law, 8000, 5))
    error, deviation = observer.measure(ExactDenoiser(law))
    assert ((error - exact).abs() < 4.5 * deviation).all()
    assert (deviation < 0.05 * error).all()


def test_the_bounds_of_simple_denoisers_are_their_errors():
    """The data's mean, and x_t/alpha, as denoisers: measured errors lie on the bounds that bear their names."""
    law, sde = problems.two(), VP()
    x = draws(law, 6000, 6)
    observer = Levels(Every(1), "nowhere", sde, PLAIN, draws(law, 8000, 7), x)

    class Mean(torch.nn.Module):
        def forward(self, x_t, kernel):
            return law.mean.float().expand_as(x_t)

    class Noisy(torch.nn.Module):
        def forward(self, x_t, kernel):
            return x_t / kernel.alpha

    known = {name: torch.tensor(values, dtype=torch.float64) for name, values in observer.head["bounds"].items()}
    for model, name in ((Mean(), "mean"), (Noisy(), "noisy")):
        error, _ = observer.measure(model)
        torch.testing.assert_close(error, known[name], rtol=0.06, atol=0)


def test_cosines_and_pixels_bound_pictures_almost_as_well_as_eigenvectors(monkeypatch):
    """No variance is lost or made; no basis beats the eigenvectors; the lesser of both comes within a half on the digits."""
    from sde_diffusion.callbacks import spectrum as module

    x, _ = by_name("digits", held_out=24).tensors("train")
    eigen = spectra(x)
    monkeypatch.setattr(module, "MOST", 10)
    both = spectra(x)
    assert eigen.shape == (1, 64)
    assert both.shape == (2, 64)
    total = x.double().flatten(1).var(0).sum()
    torch.testing.assert_close(torch.cat([eigen, both]).sum(1), total.expand(3))
    assert torch.equal(both[0], x.double().flatten(1).var(0))
    log_snr = grid(VP())
    least, bound, *each = (bounds(values, log_snr)["wiener"] for values in (eigen, both, both[:1], both[1:]))
    assert (bound >= least * (1 - 1e-9)).all()
    assert (bound <= 1.5 * least).all()
    assert torch.equal(bound, torch.minimum(*each))
    assert not any(torch.equal(bound, one) for one in each)


def test_few_events_of_many_coordinates_are_seen_in_cosines():
    """A covariance of rank 19 in 64 dimensions would promise what no denoiser keeps."""
    for shape in ((1, 8, 8), (64,)):
        assert (spectra(torch.randn(20, *shape, generator=torch.Generator().manual_seed(0))) > 0.1).all()


def test_the_weighted_error_over_the_levels_is_the_held_out_loss():
    """Two observers, one number: for log-SNRs drawn evenly, the mean over the grid of weight times error."""
    law, sde = problems.two(), VP()
    objective = DenoisingScoreMatching(weighting=EDMWeighting(0.8), times=uniform_log_snr)
    x = draws(law, 6000, 8)
    observer = Levels(Every(1), "nowhere", sde, objective, x, x, chunk=1000)
    model = ExactDenoiser(law)
    error, _ = observer.measure(model)
    weighted = error * torch.tensor(observer.head["weight"], dtype=torch.float64)
    integral = torch.trapezoid(weighted, grid(sde)) / (grid(sde)[-1] - grid(sde)[0])
    mean, stated = HeldOut(Every(1), sde, objective, x, chunk=1000).measure(model)
    assert abs(float(integral) - mean) < 4 * stated + 0.01 * mean


def test_the_weighting_of_an_objective_is_found():
    assert weight_of(PLAIN) is simple
    weighting = EDMWeighting(0.3)
    assert weight_of(Dequantised(DenoisingScoreMatching(weighting=weighting))) is weighting
    assert weight_of(ContinuousBound()) is None
    assert weight_of(lambda *arguments: 0) is None


def test_labels_go_with_their_events():
    """A denoiser that answers by the label alone is right about every event, in parts of any size."""
    x = torch.arange(10.0)[:, None].expand(10, 2).contiguous()

    class Told(torch.nn.Module):
        def forward(self, x_t, kernel, label):
            return label[:, None].to(x_t).expand_as(x_t)

    observer = Levels(Every(1), "nowhere", VP(), PLAIN, x, x, labels=torch.arange(10), chunk=4)
    error, _ = observer.measure(Told())
    assert (error == 0).all()


def test_the_file_keeps_all_looks_and_a_resumed_run_goes_on(tmp_path, look):
    """A look that is made again replaces what an earlier part of the run had written at its step or later."""
    x, model = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), network(0).requires_grad_(False)

    class Bare(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x_t, kernel):
            return self.inner(x_t, kernel, label=torch.full((len(x_t),), -1))

    def seen(*steps, **more):
        observer = levels(tmp_path, VP(), x, x, **more)
        for step in steps:
            shown = look(Bare(), step)
            observer.on_report(shown)
            assert shown.pictures["loss_by_level"] == tmp_path / "loss_by_level.png"
        return json.loads((tmp_path / "loss_by_level.json").read_text())

    first = seen(100, 200, 400)
    assert [one["step"] for one in first["looks"]] == [100, 200, 400]
    assert [one["step"] for one in seen(200)["looks"]] == [100, 200]
    again = seen(400)
    assert again == first
    assert all(len(again[name]) == POINTS for name in ("log_snr", "weight"))
    (tmp_path / "loss_by_level.json").write_text('{"looks": 3}')
    assert [one["step"] for one in seen(800)["looks"]] == [800]
    other = seen(900, objective=ContinuousBound())
    assert [one["step"] for one in other["looks"]] == [900]
    assert other["weight"] is None
    with Image.open(tmp_path / "loss_by_level.png") as picture:
        assert picture.width > 1000
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
