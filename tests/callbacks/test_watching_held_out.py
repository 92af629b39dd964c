"""The held-out loss against exact expectations, and what makes two looks of it comparable."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sde_diffusion.callbacks import HeldOut
from sde_diffusion.callbacks.held_out import PASSES
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import DenoisingScoreMatching, ImplicitScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VE, VP
from sde_diffusion.training import Every

STD = 0.7


def exact_loss(sde) -> float:
    """E_t[snr v/(1 + snr v)] over uniform times: the error of a Gaussian's best denoiser, weighted by the SNR."""
    t = sde.t_min + (sde.horizon - sde.t_min) * (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    snr = sde.log_snr(t).exp()
    return float((snr * STD**2 / (1 + snr * STD**2)).mean())


def law() -> Gaussian:
    return Gaussian.isotropic(0.3, STD, (2,))


def held_out(events, sde=None, objective=None, **more) -> HeldOut:
    return HeldOut(Every(1), sde or VP(), objective or DenoisingScoreMatching(), events, **more)


@pytest.mark.parametrize("sde", [VP(), VE()], ids=["vp", "ve"])
def test_the_loss_of_the_best_denoiser_is_the_exact_one(sde):
    events = law().sample(6000, torch.Generator().manual_seed(1)).float()
    mean, error = held_out(events, sde, chunk=1000).measure(ExactDenoiser(law()))
    assert abs(mean - exact_loss(sde)) < 4 * error
    assert error < 0.02 * mean


def test_the_standard_error_is_on_the_safe_side():
    """60 sets of 150 events: the spread of their losses is at most the stated error, and not far below it."""
    model, means, errors = ExactDenoiser(law()), [], []
    for seed in range(60):
        events = law().sample(150, torch.Generator().manual_seed(seed)).float()
        mean, error = held_out(events, seed=seed).measure(model)
        means.append(mean)
        errors.append(error)
    spread = float(torch.tensor(means).std())
    stated = math.sqrt(sum(error**2 for error in errors) / len(errors))
    assert 0.4 < spread / stated < 1.25  # the spread itself is known to one part in ten


class Watching(DenoisingScoreMatching):
    """The usual loss, which remembers its questions."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "seen", [])

    def at(self, denoiser, sde, x0, noise, t, **condition):
        self.seen.append((x0, noise, t, condition.get("label")))
        return super().at(denoiser, sde, x0, noise, t, **condition)


def questions(observer, model):
    observer.objective.seen.clear()
    found = observer.measure(model)
    return found, [torch.cat(column) for column in zip(*observer.objective.seen, strict=True) if column[0] is not None]


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = Preconditioned(TimeMLP(2, width=8, depth=1, classes=3), EDMPreconditioning()).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)  # a fresh network answers 0
    return model


def test_every_look_asks_the_same_and_other_seeds_ask_something_else(same):
    """Whatever the model, the caller's generator and the time of day."""
    events, labels = law().sample(90, torch.Generator().manual_seed(1)).float(), torch.arange(90) % 3
    observer = held_out(events, objective=Watching(), labels=labels, label_dropout=0.5)
    first, asked = questions(observer, network(1))
    torch.manual_seed(123)
    again, asked_again = questions(observer, network(1))
    other, asked_of_another = questions(observer, network(2))
    assert first == again
    assert first != other
    assert same(asked, asked_again)
    assert same(asked, asked_of_another)
    seeded = held_out(events, objective=Watching(), labels=labels, label_dropout=0.5, seed=1)
    _, elsewhere = questions(seeded, network(1))
    assert not torch.equal(asked[1], elsewhere[1])


def test_every_event_is_asked_about_in_each_pass_at_stratified_times():
    """101 events in 3 parts of 33: two are left out; the times of a part are one in each share of the range."""
    events = torch.arange(101.0)[:, None].expand(101, 2).contiguous()
    observer, sde = held_out(events, objective=Watching(), chunk=40), VP()
    _, (x0, noise, t) = questions(observer, ExactDenoiser(law()))
    assert len(x0) == PASSES * 99
    assert sorted(x0[:, 0].tolist()) == sorted(PASSES * events[:99, 0].tolist())
    for times in t.split(33):
        share = (times - sde.t_min) / (sde.horizon - sde.t_min)
        assert sorted((33 * share).long().tolist()) == list(range(33))
    assert len(set(noise[:, 0].tolist())) == len(noise)
    assert not torch.equal(t[:99], t[99:198])


def test_the_error_is_that_of_independent_events():
    """An objective that tells the event's own number: the mean and the deviation are those of the numbers."""
    events = torch.randn(50, 2, generator=torch.Generator().manual_seed(2))

    def own(denoiser, sde, x0, generator, **condition):
        return x0[:, 0]

    mean, error = held_out(events, objective=own, chunk=10).measure(ExactDenoiser(law()))
    assert mean == pytest.approx(events[:, 0].double().mean().item(), rel=1e-6)
    assert error == pytest.approx(events[:, 0].double().std().item() / math.sqrt(50), rel=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_labels_are_dropped_as_in_training(share):
    """4000 events four times: the share lies within 5 standard deviations, the others keep their labels."""
    events = torch.arange(4000.0)[:, None].expand(4000, 2).contiguous() % 3
    observer = held_out(events, objective=Watching(), labels=torch.arange(4000) % 3, label_dropout=share)
    _, (x0, _, _, labels) = questions(observer, network(1))
    kept = labels >= 0
    assert torch.equal(labels[kept], x0[kept, 0].long())
    assert abs((~kept).double().mean().item() - share) <= 5 * math.sqrt(share * (1 - share) / len(labels))


def test_a_loss_that_differentiates_is_measured_too(look, run):
    """Implicit score matching asks for a divergence; the parameters, frozen meanwhile, get no gradient."""
    whole = run()
    model = Preconditioned(TimeMLP(2, width=8, depth=1), EDMPreconditioning()).eval().requires_grad_(False)
    observer = held_out(whole.data, objective=ImplicitScoreMatching())
    shown = look(model)
    observer.on_report(shown)
    assert math.isfinite(shown.numbers["held_out_loss"])
    assert shown.numbers["held_out_error"] > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_bad_tables_are_refused_at_the_door(is_sentence):
    events = torch.zeros(5, 2)
    for wrong, words in (
        ({"events": events[:1]}, "two held-out"),
        ({"events": events.long()}, "floating point"),
        ({"events": events, "labels": torch.zeros(4).long()}, "labels are integers"),
    ):
        with pytest.raises((TypeError, ValueError), match=words) as caught:
            held_out(**wrong)
        assert is_sentence(caught.value)
