"""What the loop promises about a step: its data, its length, what is skipped, what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sde_diffusion.data.order import indices
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.sde import VP
from sde_diffusion.training import TrainSettings, fit, train
from sde_diffusion.training.batches import seeded_generators, step_seed
from sde_diffusion.training.optimizer import make_optimizer, rate
from sde_diffusion.training.step import RunningMetrics

CPU = torch.device("cpu")


class Recorder:
    """The usual objective, which remembers the batches and the noise it would draw."""

    def __init__(self) -> None:
        self.events, self.labels, self.draws = [], [], []

    def __call__(self, denoiser, sde, x0, generator, **condition):
        self.events.append(x0)
        self.labels.append(condition.get("label"))
        self.draws.append(torch.randn(3, generator=generator))
        return DenoisingScoreMatching()(denoiser, sde, x0, generator, **condition)


def test_each_step_sees_its_rows_and_new_noise(run):
    recorder = Recorder()
    whole = run(objective=recorder)
    whole.go()
    for step, events in enumerate(recorder.events):
        assert torch.equal(events, whole.data[indices(0, step, 4, 10)])
    assert len({tuple(draw.tolist()) for draw in recorder.draws}) == whole.settings.steps


@pytest.mark.filterwarnings("ignore:the data have mean")
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_labels_stay_with_their_events_and_the_share_is_dropped(run, share):
    """9 steps of 4000: the share of dropped labels lies within 5 standard deviations."""
    recorder = Recorder()
    whole = run(batch_size=4000)
    whole.data = torch.arange(10.0)[:, None].expand(10, 2).contiguous()
    more = {"labels": whole.labels, "label_dropout": share, "objective": recorder}
    list(train(whole.denoiser, VP(), whole.data, whole.settings, **more))
    events, labels = torch.cat(recorder.events)[:, 0].long(), torch.cat(recorder.labels)
    kept = labels >= 0
    assert torch.equal(labels[kept], events[kept] % 3)
    assert bool((labels[~kept] == -1).all())
    assert abs((~kept).double().mean().item() - share) <= 5 * math.sqrt(share * (1 - share) / len(labels))


def slope(denoiser, sde, x0, generator, **condition):
    """An objective whose gradient is 3 in every coordinate."""
    return 3.0 * sum(p.sum() for p in denoiser.parameters()).expand(len(x0))


@pytest.mark.parametrize("clip", [1e-3, 0.7, 100.0, math.inf])
def test_the_gradient_is_shortened_to_the_bound(monkeypatch, run, clip):
    """As Adam sees it: of norm min(clip, own norm), in its own direction."""
    seen = []
    step = torch.optim.Adam.step

    def watched(optimizer, *args):
        """The kernel divides the gradients in place."""
        step(optimizer, *args)
        gradients = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
        seen.append(torch.cat(gradients).clone())

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    whole = run(objective=slope, max_grad_norm=clip)
    reports = whole.go()
    own = 3.0 * math.sqrt(sum(p.numel() for p in whole.denoiser.parameters()))
    assert own > 1
    for gradient, report in zip(seen, reports, strict=True):
        assert report.gradient_norm == pytest.approx(own, rel=1e-5)
        assert gradient.norm().item() == pytest.approx(min(clip, own), rel=1e-4)
        assert gradient.norm().item() <= clip * (1 + 1e-6)
        torch.testing.assert_close(gradient, gradient.mean().expand_as(gradient))


def test_the_parameters_move_by_the_learning_rates(run):
    """Under a constant gradient Adam's step is the learning rate: all coordinates fall by the sum of the rates."""
    whole = run(objective=slope)
    before = parameters(whole)
    whole.go()
    way = sum(rate(whole.settings, k) for k in range(whole.settings.steps))
    for name, p in parameters(whole).items():
        torch.testing.assert_close(before[name] - p, torch.full_like(p, way), rtol=1e-4, atol=1e-6)


class Spoilt:
    """The usual objective, spoilt at some calls: its value, or its gradient alone."""

    def __init__(self, kind: str, calls) -> None:
        self.kind, self.calls, self.count = kind, set(calls), 0

    def __call__(self, denoiser, sde, x0, generator, **condition):
        self.count += 1
        losses = DenoisingScoreMatching()(denoiser, sde, x0, generator, **condition)
        return self._spoil(losses, denoiser) if self.count in self.calls else losses

    def _spoil(self, losses, denoiser):
        if self.kind == "gradient":
            zero = next(iter(denoiser.parameters())).sum() * 0
            return losses + torch.sqrt(zero)  # value 0, slope infinite times 0
        return losses * float(self.kind)


@pytest.mark.parametrize("kind", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("call", [1, 5])
def test_a_step_that_is_not_finite_changes_no_parameter(run, same, kind, call):
    whole = run(objective=Spoilt(kind, [call]))
    source, before, changed, skipped = whole.reports(), parameters(whole), [], []
    for report in source:
        now = parameters(whole)
        changed.append(not same(before, now))
        skipped.append(report.skipped)
        before = now
    assert [step for step, moved in enumerate(changed, 1) if not moved] == [call]
    assert skipped == [int(step >= call) for step in range(1, 10)]
    assert all(bool(p.isfinite().all()) for p in before.values())


def parameters(whole):
    return {name: p.detach().clone() for name, p in whole.denoiser.named_parameters()}


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_a_skipped_step_leaves_the_optimizer_alone(same, name):
    """Parameters, moments and the count of steps are those of a run without it; the gradients do not depend on them."""

    def after(*slopes):
        model = nn.Linear(2, 2)
        nn.init.constant_(model.weight, 0.5)
        nn.init.constant_(model.bias, -0.5)
        optimizer, metrics = make_optimizer(model, TrainSettings(optimizer=name)), RunningMetrics(CPU)
        for slope in slopes:
            loss = slope * (model.weight.sum() + model.bias.sum())
            loss.backward()
            norm = torch.nn.utils.get_total_norm(optimizer.gradients())
            optimizer.step(0.5, norm.clamp(min=1), metrics.add(loss.detach(), norm))
        return [*model.parameters(), *optimizer.tensors().values()]

    nan = float("nan")
    assert same(after(1.0, -2.0), after(nan, 1.0, nan, nan, -2.0))
    assert not same(after(1.0, -2.0), after(1.0, -2.0, -2.0))


@pytest.mark.parametrize(("skips", "calls", "stops"), [(3, [2, 3, 5, 6, 8, 9], False), (3, [3, 4, 5], True)])
def test_a_few_in_a_row_stop_the_run(run, is_sentence, skips, calls, stops):
    """The row of three straddles the synchronisations, which come each three steps."""
    whole = run(objective=Spoilt("nan", calls), max_consecutive_skips=skips, log_every=9)
    if not stops:
        (report,) = whole.go()
        assert report.skipped == 6
        assert math.isfinite(report.loss)
        return
    with pytest.raises(FloatingPointError, match="3 steps in a row by step 6") as caught:
        whole.go()
    assert is_sentence(caught.value)


def test_a_run_that_never_was_finite_keeps_its_parameters(run, same, tmp_path):
    whole = run(tmp_path, Spoilt("inf", range(100)), max_consecutive_skips=4)
    before = parameters(whole)
    with pytest.raises(FloatingPointError, match="4 steps in a row"):
        whole.go()
    assert same(parameters(whole), before)
    assert same(parameters(whole), {n: p.detach() for n, p in whole.ema.model.named_parameters()})
    assert '"loss": null' in (tmp_path / "metrics.jsonl").read_text()


def test_reports_are_means_over_their_steps(run):
    """Of the finite ones among them, whatever the number of steps between two reports."""
    each = run(objective=Spoilt("nan", [4])).go()
    joint = run(objective=Spoilt("nan", [4]), log_every=5).go()
    assert [report.step for report in joint] == [5, 9]
    for report, part in zip(joint, (each[:5], each[5:]), strict=True):
        finite = [one for one in part if math.isfinite(one.loss)]
        assert len(finite) == 4
        assert report.loss == pytest.approx(sum(one.loss for one in finite) / len(finite), rel=1e-5)
        norms = [one.gradient_norm for one in finite]
        assert report.gradient_norm == pytest.approx(sum(norms) / len(norms), rel=1e-5)
        assert report.learning_rate == part[-1].learning_rate
    assert math.isnan(each[3].loss)


@given(steps=st.integers(1, 500), warmup=st.integers(0, 50), base=st.floats(1e-6, 1.0))
def test_the_learning_rate_rises_and_falls_to_zero(steps, warmup, base):
    settings = TrainSettings(steps=steps, warmup=warmup, learning_rate=base)
    rates = [rate(settings, k) for k in range(steps)]
    assert min(rates) > 0
    assert max(rates) <= base
    assert rates[0] == pytest.approx(base / max(warmup, 1))
    assert all(a >= b for a, b in zip(rates[warmup:], rates[warmup + 1 :], strict=False))
    assert rate(settings, steps) == pytest.approx(0, abs=1e-15)
    if warmup <= steps / 2 and steps % 2 == 0:
        assert rate(settings, steps // 2) == pytest.approx(base / 2)


@given(seed=st.integers(0, 2**64 - 1), start=st.integers(0, 2**32 - 300))
def test_no_two_steps_share_their_noise_on_a_32_bit_generator(seed, start):
    words = [step_seed(seed, step) for step in range(start, start + 256)]
    assert all(0 <= w < 2**64 for w in words)
    assert len({w % 2**32 for w in words}) == 256
    assert {w % 2**32 for w in words} != {step_seed(seed ^ 1, step) % 2**32 for step in range(start, start + 256)}


@pytest.mark.global_rng
def test_borrowed_generators_are_given_back():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with seeded_generators(CPU) as seeded:
        first = torch.rand(2, generator=seeded(17)), torch.rand(2)
        second = torch.rand(2, generator=seeded(17)), torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    assert all(map(torch.equal, first, second))
    assert not torch.equal(*first)
    torch.manual_seed(3)
    with pytest.raises(TypeError), seeded_generators(CPU) as seeded:
        torch.rand("two", generator=seeded(1))
    assert torch.equal(torch.rand(2), expected)


def test_fit_returns_the_average_and_leaves_the_last_weights(run, same):
    loop, whole = run(), run()
    loop.go()
    model = fit(whole.denoiser, VP(), whole.data, whole.settings, labels=whole.labels)
    assert same(dict(model.state_dict()), dict(loop.ema.model.state_dict()))
    assert same(dict(whole.denoiser.state_dict()), dict(loop.denoiser.state_dict()))
    assert not same(dict(whole.denoiser.state_dict()), dict(model.state_dict()))
    assert not model.training
    assert not whole.denoiser.training
    fit(model, VP(), whole.data, whole.settings, labels=whole.labels)  # the result can be trained again


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_given_back(run, mode):
    whole = run()
    whole.denoiser.train(mode)
    whole.go(reports=2)
    assert whole.denoiser.training is mode


X = torch.zeros(6, 2)
REFUSED = {
    "nan": (lambda d: (d, VP(), torch.tensor([[1.0, float("nan")]])), {}, "finite"),
    "integers": (lambda d: (d, VP(), X.long()), {}, "floating point"),
    "no events": (lambda d: (d, VP(), X[:0]), {}, "at least one event"),
    "a list": (lambda d: (d, VP(), [[0.0, 1.0]]), {}, "torch.Tensor"),
    "a loader": (lambda d: (d, VP(), torch.utils.data.DataLoader(X)), {}, "give its data set"),
    "a bare network": (lambda d: (d.backbone, VP(), X), {}, "wrap it: Preconditioned"),
    "no process": (lambda d: (d, None, X), {}, "second argument is the process"),
    "no such device": (lambda d: (d, VP(), X), {"device": "cuda:99"}, "torch sees"),
    "condition too short": (lambda d: (d, VP(), X), {"condition": {"y": torch.zeros(5, 3)}}, "one row for each of 6"),
    "an iterable": (lambda d: (d, VP(), iter([X])), {}, "map-style Dataset"),
    "swapped": (lambda d: (VP(), d, X), {}, "swap them"),
    "labels too few": (lambda d: (d, VP(), X), {"labels": torch.zeros(5).long()}, "shape \\(6,\\)"),
    "labels real": (lambda d: (d, VP(), X), {"labels": torch.zeros(6)}, "integers"),
    "dropout": (lambda d: (d, VP(), X), {"labels": torch.zeros(6).long(), "label_dropout": 1.5}, "share"),
    "nothing to train": (lambda d: (d.requires_grad_(False), VP(), X), {}, "nothing to train"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_at_the_call(run, is_sentence, case):
    arguments, options, words = REFUSED[case]
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        train(*arguments(run().denoiser), **options)
    assert is_sentence(caught.value)


def test_a_foreign_average_is_refused(run):
    whole, other = run(), run()
    for ema, decay in ((other.ema, 0.999), (whole.ema, 0.5)):
        with pytest.raises(ValueError, match="make one for this"):
            train(whole.denoiser, VP(), whole.data, TrainSettings(ema_decay=decay), ema=ema)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"steps": 2.5},
        {"steps": True},
        {"batch_size": -1},
        {"learning_rate": 0.0},
        {"learning_rate": math.inf},
        {"learning_rate": math.nan},
        {"max_grad_norm": 0.0},
        {"max_grad_norm": math.nan},
        {"ema_decay": 1.0},
        {"seed": -1},
        {"seed": 2**64},
        {"max_checkpoints": 0},
        {"log_every": 0},
        {"max_consecutive_skips": 0},
        {"warmup": -1},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong, is_sentence):
    (name,) = wrong
    with pytest.raises((TypeError, ValueError), match=f"^{name} is") as caught:
        TrainSettings(**wrong)
    assert is_sentence(caught.value)


def test_a_network_of_another_dtype_gets_batches_of_its_own(run):
    recorder = Recorder()
    double = run(objective=recorder)
    double.denoiser.double()
    double.ema.model.double()
    before = parameters(double)
    losses = [report.loss for report in double.go()]
    assert {events.dtype for events in recorder.events} == {torch.float64}
    assert all(map(math.isfinite, losses))
    assert all(bool((p != before[name]).any()) for name, p in double.denoiser.named_parameters())
