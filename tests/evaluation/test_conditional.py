"""Samples under given conditions against held-out rows: the joint law is compared, beside real rows of the same conditions."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from sde_diffusion.data.base import DataSource
from sde_diffusion.evaluation import metrics
from sde_diffusion.evaluation.columns import ColumnReport
from sde_diffusion.evaluation.evaluator import Evaluator
from sde_diffusion.evaluation.matching import matched_rows


def draw(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(x, c): x | c ~ N(c/500, 1/4), c ~ N(3000, 500^2), so that the correlation is sqrt(4/5)."""
    generator = torch.Generator().manual_seed(seed)
    c = 3000 + 500 * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    return (c / 500 + 0.5 * torch.randn(n, 1, generator=generator, dtype=torch.float64)).float(), c


class Source(DataSource):
    event_shape, column_names, condition_names = (1,), ("length",), ("weight",)

    def __init__(self):
        self.data = {"train": draw(1200, 0), "held_out": draw(300, 1)}

    def size(self, split="train"):
        return len(self.data[split][0])

    def batch(self, indices, split="train"):
        return self.data[split][0][indices], None

    def condition_rows(self, indices, split="train"):
        return self.data[split][1][indices]


def test_the_matching_is_the_best_one_of_all():
    generator = torch.Generator().manual_seed(0)
    condition, train = torch.randn(4, 2, generator=generator), torch.randn(6, 2, generator=generator)
    scale = train.std(0)

    def cost(rows):
        return float(((condition - train[list(rows)]) / scale).square().sum())

    found = matched_rows(condition, train, 1)[0]
    assert cost(found.tolist()) == pytest.approx(min(map(cost, permutations(range(6), 4))))


def test_sets_are_of_different_rows_whose_conditions_are_near():
    source = Source()
    held_out, train = (source.data[split][1] for split in ("held_out", "train"))
    rows = matched_rows(held_out, train, 3).flatten()
    assert len(set(rows.tolist())) == 900
    near = (train[rows] - held_out.repeat(3, 1)).abs().mean()
    any_rows = (train[:900] - held_out.repeat(3, 1)).abs().mean()
    assert float(near) < 0.1 * float(any_rows)


def test_classes_are_matched_exactly_or_refused():
    condition, train = torch.tensor([[0.0], [4.0]]), torch.arange(6.0)[:, None]
    labels, of_train = torch.tensor([0, 1]), torch.tensor([1, 1, 1, 0, 0, 0])
    assert matched_rows(condition, train, 1, labels, of_train).tolist() == [[3, 2]]
    two = matched_rows(condition, train, 2, labels, of_train)
    assert len(set(two.flatten().tolist())) == 4
    assert torch.equal(of_train[two], labels.expand(2, 2))
    assert matched_rows(condition, train, 4, labels, of_train).shape == (3, 2)  # a class has three rows
    with pytest.raises(ValueError, match="more held-out than training rows"):
        matched_rows(condition, train, 1, torch.tensor([2, 1]), of_train)


def test_samples_of_the_conditional_law_are_as_good_as_real_rows_and_those_of_the_marginal_are_not(monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLES", 6)
    evaluator = Evaluator(Source(), given=True)
    assert evaluator.column_names == ("length", "weight")
    assert evaluator.held_out.shape == (300, 2)
    c, noise = Source().data["held_out"][1], torch.Generator().manual_seed(3)
    right = (c / 500 + 0.5 * torch.randn(300, 1, generator=noise, dtype=torch.float64)).float()
    ignoring = right[torch.randperm(300, generator=noise)]  # the same marginal law, and no regard for the condition
    good, bad = (evaluator.scores(evaluator.with_condition(x))[0] for x in (right, ignoring))
    assert good.value < 3 * (good.baseline or 0)
    assert bad.value > 2.5 * good.value
    report = ColumnReport.of(evaluator.column_names, evaluator.with_condition(ignoring), evaluator.held_out,
                             evaluator.train, given=1)  # fmt: skip
    assert [one.name for one in report.marginals] == ["length"]
    assert len(report.correlations) == 1
    assert report.correlations[0].held_out == pytest.approx(0.8**0.5, abs=0.05)
    assert report.correlations[0].samples == pytest.approx(0, abs=0.2)


def test_data_without_conditions_are_refused():
    class Plain(Source):
        condition_names = None

        def condition_rows(self, indices, split="train"):
            return None

    with pytest.raises(ValueError, match="the data have none"):
        Evaluator(Plain(), given=True)
