"""What a run is made of can be chosen: data, conditions, objective, optimizer, schedule; and it resumes bit for bit."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sde_diffusion.conditions.dropped import drop
from sde_diffusion.data.base import Batch, DataSource
from sde_diffusion.data.tables import table_of
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.objectives.base import RunContext, with_run
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import EMA, TrainSettings, fit, load, train
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from sde_diffusion.training.optimizer import OPTIMIZERS, SCHEDULES, make_optimizer, rate_factor
from sde_diffusion.training.settings import OPTIMIZERS as OPTIMIZER_NAMES
from sde_diffusion.training.settings import SCHEDULES as SCHEDULE_NAMES

CPU = torch.device("cpu")
SETTINGS = TrainSettings(steps=8, batch_size=4, log_every=1, checkpoint_every=100, learning_rate=1e-2, warmup=3)


class Conditional(nn.Module):
    """A network of x, the noise level and a real vector `theta` (B, 3), with dropout and a matrix, a vector and a table."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out, self.drop = nn.Linear(6, 8), nn.Linear(8, 2), nn.Dropout(0.1)
        self.classes = nn.Embedding(4, 8)

    def forward(self, x, c_time, theta, label=None):
        level = torch.as_tensor(c_time, dtype=x.dtype).expand(len(x))[:, None]
        hidden = self.inner(torch.cat([x, level, theta], 1)).tanh()
        return self.out(self.drop(hidden if label is None else hidden + self.classes(label % 4)))


def denoiser():
    torch.manual_seed(0)
    return Preconditioned(Conditional(), EDMPreconditioning(data_std=1.0))


X = torch.randn(10, 2, generator=torch.Generator().manual_seed(2))
THETA = torch.randn(10, 3, generator=torch.Generator().manual_seed(3))


class Pairs(torch.utils.data.Dataset):
    """Rows with a vector and a class, made when they are asked for."""

    def __len__(self):
        return len(X)

    def __getitem__(self, number):
        return X[number].numpy(), {"theta": THETA[number].tolist(), "label": number % 4}


def custom(parameters):
    """An optimizer that is not fused, with a state of its own kind."""
    return torch.optim.RMSprop(parameters, lr=1e-2, momentum=0.5)


KINDS = {
    "adamw, cosine, vectors": ({"optimizer": "adamw", "weight_decay": 0.1}, {"data": X, "condition": {"theta": THETA}}),
    "muon, inverse square root, data set": ({"optimizer": "muon", "schedule": "inverse_sqrt"}, {"data": Pairs()}),
    "custom optimizer and schedule, array": (
        {},
        {
            "data": X.numpy(),
            "condition": {"theta": THETA.numpy()},
            "optimizer": custom,
            "schedule": lambda step, steps: 1 - step / (2 * steps),
        },
    ),
}


def reports(kind, folder=None, stop=None):
    """The reports of a run up to a step, and what it leaves."""
    settings, more = KINDS[kind]
    more = dict(more)
    model, data = denoiser(), more.pop("data")
    ema = EMA(model, SETTINGS.ema_decay)
    source = train(model, VP(), data, dataclasses.replace(SETTINGS, **settings), folder=folder, ema=ema, **more)
    found = []
    for report in source:
        found.append(dataclasses.replace(report, images_per_second=0.0))
        if report.step == stop:
            source.close()
    return found, dict(model.state_dict()), dict(ema.model.state_dict())


@pytest.mark.parametrize("stop", [1, 3, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_any_kind_resumes_bit_for_bit(tmp_path, same, kind, stop):
    whole, weights, average = reports(kind, tmp_path / "whole")
    first, *_ = reports(kind, tmp_path / "stopped", stop)
    second, *ends = reports(kind, tmp_path / "stopped")
    assert first + second == whole
    assert same(ends, [weights, average])
    left = [vars(load(checkpoints(tmp_path / name / "checkpoints")[8])) for name in ("whole", "stopped")]
    assert same(*left)
    assert left[0]["optimizer"].keys() > {"backbone.inner.weight/" + next(iter(SLOTS[kind]))}


SLOTS = {name: slots for name, slots in zip(KINDS, (["exp_avg"], ["momentum_buffer"], ["square_avg"]), strict=True)}


def test_the_optimizers_state_is_needed(tmp_path, same):
    """What shows that the test above can fail."""
    kind = "muon, inverse square root, data set"
    _, weights, _ = reports(kind)
    reports(kind, tmp_path, 3)
    import sde_diffusion.training.optimizer as module

    taken = module.Optimizer.load
    try:
        module.Optimizer.load = lambda self, tensors, facts: taken(self, {n: t * 0 for n, t in tensors.items()}, facts)
        assert not same(reports(kind, tmp_path)[1], weights)
    finally:
        module.Optimizer.load = taken


@dataclass(frozen=True)
class Source(DataSource):
    """X with the parities of its numbers for labels."""

    classes = 2

    @property
    def event_shape(self):
        return (2,)

    def size(self, split="train"):
        return len(X)

    def batch(self, indices, split="train"):
        return X[indices], indices % 2


def test_the_three_kinds_of_data_give_the_same_batches():
    labels = torch.arange(10) % 2

    class Labelled(torch.utils.data.Dataset):
        def __len__(self):
            return 10

        def __getitem__(self, number):
            return X[number], number % 2

    made = [
        Batches(table, 0.3, 5, 4, CPU, torch.float64)
        for table in (
            table_of(X, labels),
            table_of(X.numpy(), labels.numpy()),
            table_of(Source(), labels=True),
            table_of(Labelled(), labels=True),
        )
    ]
    for step in range(5):
        one, *others = (batches.at(step, torch.Generator().manual_seed(step)) for batches in made)
        assert one.x.dtype == torch.float64
        for other in others:
            assert torch.equal(one.x, other.x)
            assert torch.equal(one.condition["label"], other.condition["label"])
    digests = [batches.table.digest() for batches in made]
    assert all(found == digests[0] for found in digests)


def test_labels_of_a_source_are_used_only_if_asked():
    assert table_of(Source()).rows(torch.arange(2)).condition == {}
    with pytest.raises(TypeError, match="labels=True"):
        table_of(Source(), labels=torch.zeros(10).long())


@pytest.mark.parametrize(
    ("value", "null"),
    [
        (torch.arange(6), -1),
        (torch.ones(6, 4), 0.0),
        (torch.ones(6, 3, 2, 2, dtype=torch.float64), 0.0),
        (torch.ones(6, 2, dtype=torch.bool), False),
        (torch.ones(6, 2, dtype=torch.int64), -1),
    ],
    ids=["labels", "vectors", "images", "masks", "several labels"],
)
def test_a_dropped_condition_is_the_null_of_its_kind(value, null):
    dropped = torch.tensor([True, False, False, True, False, True])
    found = drop(value, dropped)
    assert torch.equal(found[~dropped], value[~dropped])
    assert bool((found[dropped] == null).all())
    assert found.dtype == value.dtype


def test_all_conditions_of_a_sample_are_dropped_together():
    table = table_of(
        torch.ones(4000, 1) + torch.arange(4000)[:, None],
        condition={"a": torch.arange(4000) + 1, "b": torch.ones(4000, 2)},
    )
    batch = Batches(table, 0.25, 0, 4000, CPU, torch.float32).at(0, torch.Generator().manual_seed(0))
    dropped = batch.condition["a"] == -1
    assert torch.equal(dropped, (batch.condition["b"] == 0).all(1))
    assert abs(dropped.float().mean().item() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 4000)
    assert torch.equal(batch.condition["a"][~dropped].float(), batch.x[~dropped, 0])


class SeesTheRun:
    """The usual loss, which remembers what it knows of the run, and needs all of it."""

    def __init__(self):
        self.seen = []

    def __call__(self, model, sde, batch, generator, run):
        with torch.no_grad():
            target = run.teacher(batch.x)
            average = run.average(batch.x, sde.kernel(0.5), **batch.condition)
        self.seen.append((run.step, run.steps, average, target, run.average.training, run.teacher.training))
        usual = DenoisingScoreMatching()(model, sde, batch.x, generator, **batch.condition)
        return usual + 0 * target.sum()


def test_an_objective_sees_the_run(tmp_path, same):
    """The step, the average after it, and a teacher that is frozen and in no checkpoint."""
    objective, teacher, model = SeesTheRun(), nn.Linear(2, 2), denoiser()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    ema = EMA(model, SETTINGS.ema_decay)
    more = {"condition": {"theta": THETA}, "label_dropout": 0.0, "objective": objective, "teacher": teacher}
    for report in train(model, VP(), X, SETTINGS, folder=tmp_path, ema=ema, **more):
        weights = {name: value.clone() for name, value in ema.model.state_dict().items()}
        assert report.step == len(objective.seen)
    steps = [(step, steps) for step, steps, *_ in objective.seen]
    assert steps == [(step, 8) for step in range(8)]
    assert {(average, taught) for *_, average, taught in objective.seen} == {(False, False)}
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert same(dict(teacher.state_dict()), before)
    assert same(dict(load(checkpoints(tmp_path / "checkpoints")[8]).model), dict(model.state_dict()))
    assert weights.keys() == model.state_dict().keys()
    assert len({average.sum().item() for _, _, average, *_ in objective.seen}) == 8


def test_the_five_argument_form_is_adapted_once():
    usual = DenoisingScoreMatching()
    adapted = with_run(usual)
    assert with_run(adapted) is adapted
    batch, model = Batch(X, condition={"theta": THETA}), denoiser()
    run = RunContext(0, 1, model)
    one = adapted(model.eval(), VP(), batch, torch.Generator().manual_seed(1), run)
    other = usual(model, VP(), X, torch.Generator().manual_seed(1), theta=THETA)
    assert torch.equal(one, other)
    with pytest.raises(ValueError, match="no second data set"):
        adapted(model, VP(), Batch(X, source=X), None, run)


def test_a_second_data_set_has_an_order_of_its_own():
    source = table_of(100 + torch.arange(7.0)[:, None])
    batches = Batches(table_of(torch.arange(10.0)[:, None]), 0.0, 3, 10, CPU, torch.float32, source=source)
    drawn = [batches.at(step, torch.Generator()) for step in range(7)]
    assert all(batch.source.shape == (10, 1) for batch in drawn)
    counts = torch.cat([batch.source for batch in drawn]).unique(return_counts=True)
    assert counts[0].tolist() == [100.0 + k for k in range(7)]
    assert counts[1].tolist() == [10] * 7


def test_the_names_of_the_settings_are_those_of_the_makers():
    assert tuple(OPTIMIZERS) == OPTIMIZER_NAMES
    assert tuple(SCHEDULES) == SCHEDULE_NAMES


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"optimizer": "adam", "betas": (0.8, 0.9)}, lambda p: torch.optim.Adam(p, lr=1e-2, betas=(0.8, 0.9))),
        ({"optimizer": "adamw", "weight_decay": 0.2}, lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.2)),
    ],
    ids=["adam", "adamw"],
)
def test_a_named_optimizer_is_torchs(settings, reference):
    """Against the plain one, unfused, fed the same gradients."""
    settings = dataclasses.replace(SETTINGS, **settings)
    ours, theirs = (nn.Linear(3, 2, dtype=torch.float64) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    one, other = make_optimizer(ours, settings), reference(theirs.parameters())
    for k in range(5):
        for model in (ours, theirs):
            (model(torch.full((4, 3), k + 1.0, dtype=torch.float64)).square().sum() * 0.1).backward()
        one.step(1.0, torch.ones((), dtype=torch.float32), torch.zeros(()))
        other.step()
        other.zero_grad()
    torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-10, atol=1e-12)


def test_muon_takes_the_matrices_and_adamw_the_rest():
    made = make_optimizer(denoiser(), dataclasses.replace(SETTINGS, optimizer="muon"))
    kinds = {
        made.names[id(p)]: type(part).__name__ for part in made.parts for g in part.param_groups for p in g["params"]
    }
    assert kinds == {
        "backbone.inner.weight": "Muon",
        "backbone.out.weight": "Muon",
        "backbone.inner.bias": "AdamW",
        "backbone.out.bias": "AdamW",
        "backbone.classes.weight": "AdamW",
    }


@pytest.mark.parametrize("make", [lambda p: "sgd", lambda p: torch.optim.SGD(p[:1], lr=0.1)], ids=["a word", "too few"])
def test_an_optimizer_that_is_none_is_refused(make, is_sentence):
    with pytest.raises((TypeError, ValueError), match="optimizer") as caught:
        train(denoiser(), VP(), X, SETTINGS, condition={"theta": THETA}, optimizer=make)
    assert is_sentence(caught.value)


@given(steps=st.integers(10, 500), warmup=st.integers(0, 9))
def test_the_schedules_are_their_formulas(steps, warmup):
    for name in SCHEDULE_NAMES:
        settings = TrainSettings(steps=steps, warmup=warmup, schedule=name)
        factors = [rate_factor(settings, k) for k in range(steps)]
        after = {
            "constant": lambda k: 1.0,
            "cosine": lambda k: math.cos(math.pi * k / (2 * steps)) ** 2,
            "inverse_sqrt": lambda k: math.sqrt(max(warmup, 1) / (k + 1)),
        }[name]
        for k in range(steps):
            rise = min(1.0, (k + 1) / warmup) if warmup else 1.0
            assert factors[k] == pytest.approx(rise * min(1.0, after(k)), rel=1e-9)
        assert max(factors) <= 1


def test_numpy_and_the_device_are_taken_as_they_come():
    model = fit(
        denoiser(), VP(), X.numpy(), dataclasses.replace(SETTINGS, steps=2), condition={"theta": np.asarray(THETA)}
    )
    assert next(model.parameters()).device.type == ("cuda" if torch.cuda.is_available() else "cpu")
