"""Pictures are samples of the model that is shown, from the same noise each time; the film has all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sde_diffusion import DiffusionModel
from sde_diffusion.callbacks import Pictures
from sde_diffusion.data import by_name
from sde_diffusion.denoisers import Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian, problems
from sde_diffusion.report.animation.montage import montage, read_pixels
from sde_diffusion.report.plots.images import WIDTH, tiled, zoom_for
from sde_diffusion.sde import VE, VP
from sde_diffusion.training import Doubling, Every
from tests.callbacks.test_watching_held_out import network


def model_of(sde, real, classes=None) -> DiffusionModel:
    """What a run without a standardisation samples with; its denoiser is the one that the callback is shown."""
    names = None if classes is None else tuple(map(str, range(classes)))
    shape, mean, std = tuple(real.shape[1:]), float(real.mean()), float(real.std())
    standard = ExactDenoiser(Gaussian.isotropic(0.0, 1.0, shape))
    return DiffusionModel(sde, standard, shape, class_names=names, mean=mean, std=std)


@pytest.mark.parametrize("sde", [VP(), VE(sigma_max=5.0)], ids=["vp", "ve"])
def test_the_samples_have_the_law_of_the_model(tmp_path, sde):
    """Of an exact denoiser, far from zero and not of unit scale: mean within 5 standard errors, variance within 15%."""
    law = Gaussian.isotropic(torch.tensor([3.0, 2.0]), 0.5, (2,))
    real = law.sample(4000, torch.Generator().manual_seed(0)).float()
    x = Pictures(Every(1), tmp_path, model_of(sde, real), real, count=3000).samples(ExactDenoiser(law).float())
    assert ((x.mean(0) - law.mean).abs() < 5 * 0.5 / 3000**0.5 + 0.02).all()
    torch.testing.assert_close(x.double().var(0), law.variance, rtol=0.15, atol=0)


def test_the_same_noise_each_time_and_the_budget_is_kept(tmp_path):
    real, calls = problems.two().sample(50, torch.Generator().manual_seed(0)).float(), []

    class Counted(Denoiser):
        def forward(self, x_t, kernel):
            calls.append(len(x_t))
            return x_t * 0.5

    observer = Pictures(Every(1), tmp_path, model_of(VP(), real), real, count=10, evaluations=7)
    one, other = observer.samples(Counted()), observer.samples(Counted())
    assert torch.equal(one, other)
    assert calls == [10] * 14
    assert not torch.equal(
        Pictures(Every(1), tmp_path, model_of(VP(), real), real, count=10, seed=1).samples(Counted()), one
    )


def test_each_sample_is_told_its_class(tmp_path):
    """Sample i of class i modulo the classes; the model hears of it at every call."""
    told = []

    class Listening(Denoiser):
        def forward(self, x_t, kernel, label):
            told.append(label)
            return x_t * 0.5

    Pictures(Every(1), tmp_path, model_of(VP(), torch.eye(2), classes=3), torch.eye(2), count=8).samples(Listening())
    assert all(labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1] for labels in told)
    assert len(told) == 15


def test_the_picture_shows_the_samples_and_the_film_all_pictures(tmp_path, look):
    """Pixels of the file are those of the samples; pictures of a step that is still to come stay out of the film."""
    x, _ = by_name("digits", held_out=24).tensors("held_out")
    observer = Pictures(Doubling(100), tmp_path, model_of(VP(), x), x, count=9)
    greys = {step: ExactDenoiser(Gaussian.isotropic(step / 400 - 0.5, 0.1, (1, 8, 8))) for step in (100, 200, 300, 400)}
    for step in (100, 200, 400, 300):
        shown = look(greys[step], step, last=step == 300)
        observer.on_report(shown)
        path = tmp_path / "pictures" / f"step-{step:06d}.png"
        assert shown.pictures == {"samples": path}
        wanted = tiled(observer.samples(shown.model), 3, zoom_for(3 * 9 - 1, WIDTH))
        np.testing.assert_array_equal(read_pixels(path), wanted)
    with Image.open(tmp_path / "pictures" / "film.gif") as film:
        assert film.n_frames == 3
    names = {"step-000100.png", "step-000200.png", "step-000300.png", "step-000400.png", "film.gif", "film.png"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == names
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.parametrize("shape", [(2,), (5,)], ids=["cloud", "histogram"])
def test_other_events_are_drawn_too(tmp_path, look, shape):
    real = torch.randn(40, *shape, generator=torch.Generator().manual_seed(0))
    observer = Pictures(Every(1), tmp_path, model_of(VP(), real), real, count=12)
    law = Gaussian.isotropic(0.0, 1.0, shape)
    observer.on_report(look(ExactDenoiser(law), 1))
    observer.on_report(look(ExactDenoiser(law), 2, last=True))
    with Image.open(tmp_path / "pictures" / "film.gif") as film:
        assert film.n_frames == 2


def test_a_picture_is_there_in_full_or_not_at_all(tmp_path, look, monkeypatch):
    """An interrupt while it is drawn leaves the old one, and nothing beside it."""
    from sde_diffusion.callbacks import pictures as module

    x, _ = by_name("digits", held_out=24).tensors("held_out")
    observer, model = (
        Pictures(Every(1), tmp_path, model_of(VP(), x), x, count=4),
        ExactDenoiser(Gaussian.isotropic(0.0, 1.0, (1, 8, 8))),
    )
    observer.on_report(look(model, 5))
    before = (tmp_path / "pictures/step-000005.png").read_bytes()

    def struck(samples, path, title):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "plot_samples", struck)
    with pytest.raises(KeyboardInterrupt):
        observer.on_report(look(model, 5))
    assert (tmp_path / "pictures/step-000005.png").read_bytes() == before
    assert [path.name for path in tmp_path.rglob("*")] == ["pictures", "step-000005.png"]


def test_stages_stand_in_even_rows(tmp_path):
    """Five pictures of one colour each: three and two, every pixel of each in its place; large ones are reduced."""
    paths = {}
    for index in range(5):
        paths[f"step {index}"] = tmp_path / f"{index}.png"
        Image.new("RGB", (20, 10), (index * 50,) * 3).save(paths[f"step {index}"])
    canvas = read_pixels(montage(paths, tmp_path / "all.png"))
    assert canvas.shape == (2 * 40, 3 * 32 - 12, 3)
    for index in range(5):
        top, left = index // 3 * 40 + 30, index % 3 * 32
        assert (canvas[top : top + 10, left : left + 20] == index * 50).all()
    Image.new("RGB", (4000, 100)).save(tmp_path / "wide.png")
    assert read_pixels(montage({"a": tmp_path / "wide.png"}, tmp_path / "b.png")).shape[1] == 1600


def test_a_network_that_is_told_labels_draws_in_a_run(tmp_path, look):
    observer = Pictures(Every(1), tmp_path, model_of(VP(), torch.eye(2), classes=3), torch.eye(2), count=6)
    observer.on_report(look(network(0), 1))
    assert (tmp_path / "pictures/step-000001.png").stat().st_size > 1000
