"""A model is evaluated from Python, without the command line: an exact model's samples pass for real data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

import pytest
import torch

from sde_diffusion.cli.sampler_specs import sampler
from sde_diffusion.evaluation import metrics
from sde_diffusion.evaluation.comparison import SamplerResult, Score
from sde_diffusion.evaluation.evaluator import Evaluator
from sde_diffusion.evaluation.on_exact_law import compare_on_law
from sde_diffusion.evaluation.on_model import FeatureSpace, Survey, compare, evaluate, survey
from sde_diffusion.evaluation.training_blocks import overfitting
from sde_diffusion.exact import ExactDenoiser, problems
from sde_diffusion.metrics import pixels
from sde_diffusion.model import DiffusionModel
from sde_diffusion.sde import VP
from sde_diffusion.training import RunFolder

LAW, SDE = problems.two(), VP()


@dataclass
class Samples:
    """Exact samples as a data set."""

    event_shape: tuple[int, ...] = (2,)
    classes: None = None
    column_names: None = None
    condition_names: None = None
    parts: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.parts = {split: LAW.sample(n, generator).float() for split, n in (("held_out", 200), ("train", 800))}

    def tensors(self, split: str):
        """The examples, and no labels."""
        return self.parts[split], None

    def size(self, split: str) -> int:
        """How many there are."""
        return len(self.parts[split])


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(metrics, "RESAMPLES", 6)


@pytest.fixture(scope="module")
def model():
    """An exact denoiser in the place of a trained one."""
    mean, std = LAW.mean.mean().item(), LAW.variance.mean().sqrt().item()
    return DiffusionModel(SDE, ExactDenoiser(LAW).float(), (2,), mean=mean, std=std)


def test_an_exact_model_passes_for_real_data_and_too_few_steps_do_not(model):
    found = compare(model, Samples(), [sampler("heun")], budgets=[2, 4, 40], seed=1)
    coarse, fine = (result.scores[0] for result in found.results)
    assert [result.evaluations for result in found.results] == [
        3,
        39,
    ]  # two calls pay for no step of Heun and its last denoising
    assert coarse.ratio > 2
    assert 0.5 < fine.ratio < 1.6
    assert fine.baseline == pytest.approx(Evaluator(Samples(), 1).real_baseline["sliced W2"].value)


def test_every_metric_of_an_exact_model(model, tmp_path):
    """In features of one's own as well: twice the numbers double a sliced distance and leave precision alone."""
    heun = sampler("heun").with_steps(20)
    usual = evaluate(model, Samples(), heun, seed=2)
    double = FeatureSpace("double", lambda _: lambda x: 2 * pixels()(x))
    twice = evaluate(model, Samples(), heun, double, seed=2)
    one, other = ({score.name: score for score in report.scores} for report in (usual, twice))
    assert other["sliced W2"].value == pytest.approx(2 * one["sliced W2"].value, rel=1e-5)
    assert other["precision"].value == one["precision"].value > 0.85
    assert usual.extractor == "pixels"
    assert usual.cost["evaluations"] == 41
    assert [path.name for path in usual.write(tmp_path)] == ["evaluation.json", "evaluation.md", "evaluation.png"]
    assert json.loads((tmp_path / "evaluation.json").read_text())["scores"][0]["n"] == 200


def test_too_few_examples_are_refused(model):
    with pytest.raises(ValueError, match="at least 12 samples"):
        evaluate(model, Samples(), sampler("heun"), max_held_out=8)


def test_the_same_on_an_exact_law():
    found = compare_on_law(LAW, SDE, [sampler("heun")], [4, 40], count=200)
    coarse, fine = (next(s.value for s in r.scores if s.name == "error of the flow") for r in found.results)
    assert fine < coarse / 30  # order two: a factor of 100 in the limit


def result(label: str, evaluations: float, value: float, half: float) -> SamplerResult:
    return SamplerResult(label, label, 1, evaluations, 1.0, [Score("d", value, value - half, value + half, 1.0)])


@pytest.mark.parametrize(
    ("half", "recommended", "ties"), [(0.1, "best", ["best"]), (0.6, "cheap", ["dear", "best", "cheap"])]
)
def test_the_cheapest_sampler_that_cannot_be_distinguished_is_recommended(half, recommended, ties):
    results = [
        result("dear", 300, 1.3, half), result("best", 50, 1.0, half), result("cheap", 8, 1.5, half),
        result("bad", 1, 9.0, half),
    ]  # fmt: skip
    found = Survey(*[None] * 2, results, *[None] * 3)
    assert found.best.label == "best"
    assert found.recommended.label == recommended
    assert [one.label for one in found.ties_with_best] == ties


def test_a_score_without_a_ratio_makes_no_sampler_the_best():
    unbiased = SamplerResult("a", "a", 1, 1, 1.0, [Score("KID", -3.0, -4.0, -2.0, 0.1, unbiased=True)])
    assert unbiased.worst_ratio == math.inf


def test_a_survey_measures_each_sampler_at_its_own_steps_and_at_the_budgets(model):
    found = survey(model, Samples(), [sampler("heun")], budgets=[4], seed=0)
    assert [one.evaluations for one in found.sweep.results] == [3, 19]  # at most 4, and its own 20
    assert len(found.generated["heun"].x) == 400
    assert found.copying["heun"].memorisation_rate < 0.05
    assert found.shares == {}


@pytest.mark.parametrize(
    ("losses", "says"),
    [([0.5, 0.4, 0.45], True), ([0.5, 0.4, 0.41], False), ([0.5, 0.4], False), ([0.5], False)],
)
def test_a_rise_of_the_held_out_loss_is_said(tmp_path, losses, says):
    """Beyond twice the standard error of the difference, 0.028 here."""
    lines = [{"step": 100 * n, "held_out_loss": loss, "held_out_error": 0.01} for n, loss in enumerate(losses, 1)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = overfitting(RunFolder(tmp_path))
    assert len(found) == says
    assert not says or "lowest at step 200 (0.4 ± 0.01) and is 0.45 ± 0.01" in found[0]
