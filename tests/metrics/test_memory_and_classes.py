"""Copies are noticed, classes counted, and the classifier is good, small and reproducible."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom
from sklearn.datasets import load_digits

from sde_diffusion.metrics import class_shares, copied_share, frechet, nearest, total_variation, train_classifier
from sde_diffusion.metrics.classifier import Classifier


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_nearest_is_the_nearest_whatever_the_chunk_and_the_offset():
    x, train = normal(23, 4), normal(31, 4, seed=1)
    every = (x[:, None] - train).norm(dim=2)
    for chunk in (1, 7, 100):
        distances, rows = nearest(x, train, chunk)
        torch.testing.assert_close(distances, every.min(1).values)
        assert torch.equal(rows, every.argmin(1))
    assert torch.equal(nearest(x + 1e5, train + 1e5)[1], every.argmin(1))


def test_a_copy_is_at_distance_zero_exactly():
    train = normal(50, 30) * 100 + 10_000
    distances, rows = nearest(train.flip(0), train)
    assert (distances == 0).all()
    assert rows.tolist() == list(range(49, -1, -1))


def test_a_reciting_model_is_told_from_a_learning_one():
    """Fresh points fall below the 10 % quantile of 500 others as often as a binomial of 0.1 allows, copies always."""
    train, held_out, fresh = normal(300, 3), normal(500, 3, seed=1), normal(500, 3, seed=2)
    assert copied_share(train, train, held_out, 0.1) == 1
    noise = 2 * binom.std(500, 0.1) / 500  # of the quantile and of the count
    assert abs(copied_share(fresh, train, held_out, 0.1) - 0.1) < 4 * noise
    assert copied_share(fresh + 5, train, held_out, 0.1) == 0


def test_shares_are_counts_and_their_distance_is_the_total_variation():
    shares = class_shares(torch.tensor([2, 0, 2, 2, 0, 2, 2, 2]), 4)
    assert shares.tolist() == [0.25, 0, 0.75, 0]
    assert total_variation(shares, torch.full((4,), 0.25)) == pytest.approx(0.5)
    assert total_variation(shares, shares) == 0
    with pytest.raises(ValueError, match=r"labels lie in 0 .. 1, got 0 to 2"):
        class_shares(torch.tensor([2, 0]), 2)
    with pytest.raises(ValueError, match="labels are integers"):
        class_shares(torch.zeros(3), 2)
    with pytest.raises(ValueError, match="the same classes"):
        total_variation(shares, shares[:2])


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    pixels, labels = load_digits(return_X_y=True)
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8)[order] / 8 - 1, torch.from_numpy(labels)[order]


def test_digits_are_recognised_and_the_features_know_them(digits):
    """Over 96 % of 360 held-out digits; in the features two halves of the digits are nearer than noise by far."""
    x, labels = digits
    classifier = train_classifier(x[:1437], labels[:1437], 10, steps=200)
    guesses = classifier.predict(x[1437:])
    assert float((guesses == labels[1437:]).double().mean()) > 0.96
    features = classifier.features(x)
    noise = classifier.features(normal(700, 1, 8, 8).float().clamp(-1, 1))
    assert frechet(features[:700], features[1000:]) < 0.1 * frechet(noise, features[1000:])
    torch.testing.assert_close(classifier.features(x[:20], chunk=7), features[:20])
    assert torch.equal(classifier.predict(x[:20], chunk=7), classifier(x[:20]).argmax(1))
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_a_classifier_is_a_function_of_its_seed(digits):
    x, labels = digits[0][:200], digits[1][:200]

    def trained(seed: int) -> torch.Tensor:
        return train_classifier(x, labels, 10, steps=3, seed=seed).features(x)

    first = trained(0)
    torch.manual_seed(123)
    assert torch.equal(trained(0), first)
    assert not torch.allclose(trained(1), first)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 5, 9), (1, 28, 28), (3, 32, 32)])
def test_a_classifier_begins_with_signals_of_the_size_of_its_input(shape):
    """He's weights keep the mean square; SiLU keeps a little less than the rectifier: between 1/30 and 3 at the end."""
    x = normal(64, *shape).float().clamp(-1, 1)
    network = train_classifier(x, torch.zeros(64, dtype=torch.int64), 5, steps=0)
    assert network(x).shape == (64, 5)
    assert 1 / 30 < float(network(x).square().mean() / x.square().mean()) < 3


def test_what_is_no_labelled_picture_is_refused():
    with pytest.raises(ValueError, match=r"images \(C, H, W\)"):
        Classifier((2,), 3)
    with pytest.raises(ValueError, match="one label, got 3 images and 2 labels"):
        train_classifier(torch.zeros(3, 1, 4, 4), torch.zeros(2, dtype=torch.int64), 2)
