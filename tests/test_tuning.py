"""A tuned solver beats the untuned one on trajectories it has never seen, costs what it says, and survives its file."""

from __future__ import annotations

import json
import math

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.sampling import sample
from sde_diffusion.sde import EDM, VP
from sde_diffusion.tuned import Tuned
from sde_diffusion.tuning import TuneSettings, tune
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
    settings = TuneSettings(iterations=60, trajectories=256, reference=60)
    return tune(ExactDenoiser(two()), SDE, 5, (2,), settings, dtype=torch.float64)


def end(form, solver, x):
    y = solver(form.equation, form.encode(x, form.start), form.start, form.stop)
    return form.decode(y, form.stop)


def test_it_beats_the_untuned_solver_on_fresh_points(tuned):
    from sde_diffusion.default_solver import default_solver

    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(123), dtype=torch.float64)
    denoiser = ExactDenoiser(two())
    truth = end(*default_solver(SDE, denoiser, 200), x)
    distances = [
        (end(form, solver, x) - truth).norm(dim=1).median().item()
        for form, solver in (default_solver(SDE, denoiser, 5), (tuned.reversal(SDE, denoiser), tuned.solver()))
    ]
    assert distances[1] < 0.5 * distances[0]
    assert tuned.record["held_out_distance_after"] < tuned.record["held_out_distance_before"]


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


@pytest.mark.parametrize("table", [[], [[0.1, 0.2]], [[0.1], []]])
def test_impossible_tables_are_refused(table):
    with pytest.raises(ValueError, match="mend the table"):
        Tabulated(table)
