"""A tuned solver beats the untuned one on trajectories it has never seen, costs what it says, and survives its file."""

from __future__ import annotations

import json
import math

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.sde import EDM, VP
from sde_diffusion.tuning.tune import HELD_OUT, TuneSettings, tune
from solvers import ODE, AdamsBashforth, FixedGrid, through
from solvers.methods.tabulated import Tabulated
from solvers.multistep import adams_table
from solvers.testing.problems import manufactured

SDE = VP()


class Counted(ExactDenoiser):
    calls = 0

    def forward(self, x_t, kernel, **condition):
        self.calls += 1
        return super().forward(x_t, kernel, **condition)


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    settings = TuneSettings(iterations=20, trajectories=2048, reference=60)
    return tune(ExactDenoiser(two()), SDE, 5, (2,), settings, dtype=torch.float64)


def end(form, solver, x):
    return form.solve(solver, x)


def fresh(sde, n: int = 1000) -> torch.Tensor:
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(123), dtype=torch.float64)
    return sde.prior().from_noise(noise)


def distances(law, sde, tuned: Tuned, nfe: int) -> list[torch.Tensor]:
    """Of the untuned and of the tuned solver on fresh points, (B,) each."""
    denoiser, x = ExactDenoiser(law), fresh(sde)
    truth = end(*default_solver(sde, denoiser, 200), x)
    both = default_solver(sde, denoiser, nfe), (tuned.reversal(sde, denoiser), tuned.solver())
    return [(end(form, solver, x) - truth).norm(dim=1) for form, solver in both]


def rms(values: torch.Tensor) -> float:
    return values.square().mean().sqrt().item()


def test_it_beats_the_untuned_solver_on_fresh_points(tuned):
    before, after = distances(two(), SDE, tuned, 5)
    assert after.median() < 0.2 * before.median()
    assert rms(after) < 0.5 * rms(before)
    assert tuned.record["held_out_distance_after"] < 0.5 * tuned.record["held_out_distance_before"]


@pytest.mark.slow
def test_it_beats_the_untuned_solver_on_a_ring_as_well():
    sde = EDM()
    found = tune(ExactDenoiser(ring8()), sde, 6, (2,), TuneSettings(20, 1024, 60), dtype=torch.float64)
    before, after = distances(ring8(), sde, found, 6)
    assert after.median() < 0.2 * before.median()
    assert rms(after) < 0.4 * rms(before)


@pytest.mark.parametrize("sde", [VP(), EDM()], ids=["VP", "EDM"])
def test_the_flow_of_a_gaussian_is_learned_to_many_digits(sde):
    """Linear in x, one number for each of two deviations: four calls hold them exactly, whatever their order says."""
    mean, variances = torch.tensor([0.3, -0.2], dtype=torch.float64), torch.tensor([1.5, 0.1], dtype=torch.float64)
    denoiser = ExactDenoiser(Gaussian(mean, torch.diag(variances)))

    def flow(x):
        first, last = sde.kernel(sde.horizon), sde.kernel(sde.t_min)
        stretch = (last.alpha**2 * variances + last.sigma**2) / (first.alpha**2 * variances + first.sigma**2)
        return last.alpha * mean + stretch.sqrt() * (x - first.alpha * mean)

    found = tune(denoiser, sde, 4, (2,), TuneSettings(12, 32), dtype=torch.float64, reference=flow)
    x = fresh(sde, 50)
    untuned, error = (
        (end(form, solver, x) - flow(x)).abs().max().item()
        for form, solver in (default_solver(sde, denoiser, 4), (found.reversal(sde, denoiser), found.solver()))
    )
    assert untuned > 1e-3
    assert error < 1e-6


def test_held_out_trajectories_decide():
    """Both sets are told of ends beside the default rule's, to opposite sides: what is learned from one spoils the other."""
    denoiser, calls = ExactDenoiser(two()), []

    def reference(x):
        calls.append(len(x))
        return end(*default_solver(SDE, denoiser, 12), x) + (-0.01 if len(calls) == 1 else 0.01)

    found = tune(denoiser, SDE, 12, (2,), TuneSettings(4, 24), dtype=torch.float64, reference=reference)
    assert calls == [24, 96]
    assert found.record["iterations"] == 0
    assert found.record["held_out_distance_after"] == found.record["held_out_distance_before"]
    x = fresh(SDE, 20)
    kept = end(found.reversal(SDE, denoiser), found.solver(), x)
    torch.testing.assert_close(kept, end(*default_solver(SDE, denoiser, 12), x), rtol=1e-10, atol=1e-10)


def test_the_search_starts_from_two_solvers():
    """On the ring at 5 calls the plain solver ends four times nearer than the default rule, and one iteration from it nearer still."""
    found = tune(ExactDenoiser(ring8()), EDM(), 5, (2,), TuneSettings(1, 256, seed=2), dtype=torch.float64)
    assert found.record["iterations"] == 2
    assert found.record["held_out_distance_after"] < 0.22 * found.record["held_out_distance_before"]


def test_no_trajectory_that_decides_is_trained_on():
    """The starts of both sets are those that `sample` would draw at these numbers, and differ."""
    seen = []

    def reference(x):
        seen.append(x)
        return x

    tune(ExactDenoiser(two()), SDE, 2, (2,), TuneSettings(1, 8, seed=3), reference=reference)
    form, solver = default_solver(SDE, ExactDenoiser(two()), 1)
    for x, first in zip(seen, (0, HELD_OUT), strict=True):
        wanted = sample(form, solver, (len(x), 2), 3, first=first, chunk=len(x))
        torch.testing.assert_close(end(form, solver, x), wanted, rtol=1e-6, atol=1e-6)
    assert not torch.isin(seen[0], seen[1]).any()


def test_the_record_says_what_it_was_tuned_on(tuned):
    record = tuned.record
    assert record["process"] == repr(SDE)
    assert (record["model"], record["event_shape"], record["dtype"]) == ("ExactDenoiser", [2], "float64")
    assert (record["seed"], record["trained_on_samples"]) == (0, [0, 2048])
    assert record["held_out_samples"] == [HELD_OUT, HELD_OUT + 4 * 2048]
    assert record["data_std"] == 1.0


def test_a_loaded_file_samples_bit_for_bit(tuned, tmp_path):
    denoiser = ExactDenoiser(two())
    tuned.save(tmp_path / "tuned.json")
    loaded = Tuned.load(tmp_path / "tuned.json")
    one, other = (sample(t.reversal(SDE, denoiser), t.solver(), (9, 2), 4, chunk=9) for t in (tuned, loaded))
    assert torch.equal(one, other)


def test_data_of_another_scale_are_the_same_problem():
    """Data and noise three times as large, and the deviation told: distances three times as large."""
    variances, after = torch.diag(torch.tensor([1.5, 0.1], dtype=torch.float64)), []
    for scale in (1.0, 3.0):
        denoiser, sde = ExactDenoiser(Gaussian(torch.zeros(2), scale**2 * variances)), EDM(80 * scale, 0.002 * scale)
        found = tune(denoiser, sde, 3, (2,), TuneSettings(2, 16, 40), dtype=torch.float64, data_std=scale,
                     prior=sde.prior(0.0, scale**2))  # fmt: skip
        after.append(found.record["held_out_distance_after"])
    assert after[1] == pytest.approx(3 * after[0], rel=1e-6)


def test_it_costs_what_it_says(tuned):
    denoiser = Counted(two())
    sample(tuned.reversal(SDE, denoiser), tuned.solver(), (3, 2), chunk=3, dtype=torch.float64)
    assert denoiser.calls == tuned.nfe == 5


def test_its_file_keeps_every_bit_and_a_damaged_one_is_refused(tuned, tmp_path):
    path = tmp_path / "tuned.json"
    tuned.save(path)
    assert Tuned.load(path) == tuned
    text = path.read_text()
    for damaged in (
        text[: len(text) // 2],
        "[]",
        json.dumps({"format": "another"}),
        text.replace('"table"', '"tables"'),
        text.replace(str(tuned.times[1]), "NaN"),
        text.replace(str(tuned.times[1]) + ",", ""),
    ):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="no whole tuned solver"):
            Tuned.load(path)


def test_it_refuses_another_range_of_noise_levels(tuned):
    denoiser = ExactDenoiser(two())
    with pytest.raises(ValueError, match="give a grid with these ends"):
        sample(tuned.reversal(EDM(), denoiser), tuned.solver(), (2, 2), dtype=torch.float64)


def test_there_is_nothing_to_tune_in_one_call():
    with pytest.raises(ValueError, match="nothing to tune"):
        tune(ExactDenoiser(two()), SDE, 1, (2,))


def test_a_table_of_adams_weights_is_adams_bashforth():
    """The tabulated method with the classical numbers is the classical method, to rounding, on an uneven grid."""
    spacing = through(math.exp, math.log)
    equation, exact = manufactured(ODE, "sine")
    x = torch.full((1, 1), exact(0.3), dtype=torch.float64)
    grid = spacing(0.3, 1.5, 12).tolist()
    method = Tabulated([weights for _, weights in adams_table(grid, 3)])
    got = FixedGrid(method, 12, spacing)(equation, x, 0.3, 1.5)
    torch.testing.assert_close(
        got, FixedGrid(AdamsBashforth(3), 12, spacing)(equation, x, 0.3, 1.5), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("name", ["iterations", "trajectories", "reference"])
def test_settings_that_search_nothing_are_refused(name):
    with pytest.raises(ValueError, match="at least 1"):
        TuneSettings(**{name: 0})


def test_small_events_are_given_more_trajectories():
    counts = [TuneSettings().count(event) for event in ((2,), (4, 4), (1, 8, 8), (3, 32, 32))]
    assert counts == [4096, 512, 256, 256]


def test_factors_and_times_are_as_many_as_the_steps():
    for given in ({"factors": [1.0]}, {"times": [0.5]}):
        with pytest.raises(ValueError, match="as many factors and times"):
            Tabulated([[0.1], [0.1, 0.2]], **given)


@pytest.mark.parametrize("table", [[], [[0.1, 0.2]], [[0.1], []]])
def test_impossible_tables_are_refused(table):
    with pytest.raises(ValueError, match="correct the table"):
        Tabulated(table)
