"""The tableaus of Runge and Kutta are consistent: rows sum to their times, weights to one, both formulas of a pair."""

from __future__ import annotations

import pytest

from solvers.methods.bosh3 import Bosh3
from solvers.methods.dopri5 import Dopri5
from solvers.methods.rk4 import RK4
from solvers.methods.runge_kutta import EmbeddedRungeKutta
from solvers.methods.tsit5 import Tsit5

PAIRS = [Bosh3(), Dopri5(), Tsit5()]


@pytest.mark.parametrize("method", [RK4(), *PAIRS], ids=repr)
def test_each_stage_is_at_the_time_that_its_row_reaches(method):
    tableau = method.tableau
    assert [sum(row) for row in tableau.a] == pytest.approx(list(tableau.c), abs=1e-14)
    assert sum(tableau.b) == pytest.approx(1, abs=1e-14)
    assert len(tableau.a) == len(tableau.b) == len(tableau.c)


@pytest.mark.parametrize("method", PAIRS, ids=repr)
def test_the_other_formula_of_a_pair_has_weights_of_sum_one(method: EmbeddedRungeKutta):
    assert sum(method.error) == pytest.approx(0, abs=1e-14)
