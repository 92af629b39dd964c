"""Every method on disk passes the kit, and the kit's own instruments tell what they should."""

from __future__ import annotations

import json
import math

import pytest
import torch
from scipy.stats import t as student

from solvers import ODE, Euler, EulerMaruyama, FixedGrid, Heun, ItoSDE, SemilinearODE
from solvers.methods import METHODS
from solvers.testing import behaviour, check_method, diagnosis, orders, report, significance
from solvers.testing.exactness import exactness
from solvers.testing.host import host_reads
from solvers.testing.paths import FineWalk, ScaledPath

CASES = [(method, kind) for method in METHODS for kind in method.orders]


@pytest.mark.parametrize(("method", "kind"), CASES, ids=lambda value: getattr(value, "__name__", repr(value)))
@pytest.mark.parametrize("look", [*behaviour.BEHAVIOUR, exactness], ids=lambda look: look.__name__)
def test_every_method_behaves(look, method, kind):
    assert [finding for finding in look(method, kind) if finding.failed] == []


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_every_method_passes_the_full_check(method):
    assert check_method(method, "full").failures == ()


def test_what_is_no_method_is_refused():
    with pytest.raises(TypeError, match="pass an instance"):
        check_method(Heun)
    with pytest.raises(ValueError, match="quick"):
        check_method(Heun(), "thorough")


# The instruments.


def test_an_interval_of_a_strong_order_holds_the_true_one():
    """Errors c h^p |z| with a common z have the slope p exactly; with independent z the interval covers it."""
    draw = torch.Generator().manual_seed(0)
    misses, trials = 0, 300
    for _ in range(trials):
        a, b = torch.randn(2, 200, generator=draw, dtype=torch.float64)
        seen = orders.strong_order(a, 0.5**1.5 * b)
        misses += not seen.low <= 1.5 <= seen.high
    assert misses <= 5  # 0.3% of 300 is one
    assert orders.strong_order(a, a / 2).high == pytest.approx(1.0)


def test_an_interval_of_a_weak_order_holds_the_true_one():
    draw, misses = torch.Generator().manual_seed(1), 0
    for _ in range(300):
        a, b = torch.randn(2, 2000, generator=draw, dtype=torch.float64)
        seen = orders.weak_order(1 + a, 0.25 + 0.25 * b)
        misses += not seen.low <= 2.0 <= seen.high
    assert misses <= 5


def test_reads_of_values_are_noted_and_arithmetic_is_not():
    x = torch.arange(4.0)
    assert host_reads(lambda: x.exp().sum() + x.clamp(min=0.1).mean())[1] == []
    for reads in (lambda: x.sum().item(), lambda: bool(x.sum() > 1), lambda: x[x > 1], lambda: x.nonzero()):
        assert host_reads(reads)[1]


def test_the_loop_of_a_method_that_reads_is_found():
    class Reads(Heun):
        def finish_step(self, equation, x, t, s, first):
            return super().finish_step(equation, x, t, s, first * float(x.abs().max() > -1))

    found = [finding for finding in behaviour.device_loop(Reads(), ODE) if finding.failed]
    assert [finding.error for finding in found] == [1.0]
    assert "_local_scalar_dense" in found[0].example


def test_the_last_step_to_infinity_is_seen():
    class Naive(Euler):
        orders = {SemilinearODE: Euler().orders[ODE]}

        def step(self, equation, x, t, s, path, state):
            h = s - t
            return x * math.exp(h) + equation.forcing(x, t) * (h * math.exp(h)), None

    assert any(f.failed and "-infinity" in f.check for f in behaviour.edges(Naive(), SemilinearODE))


def test_a_scaled_path_scales_its_areas_too():
    walk = FineWalk(2, 0.0, 1.0, 8, seed=0)
    for doubled, plain in zip(
        ScaledPath(walk, 2.0).increment_and_area(0.0, 0.5), walk.increment_and_area(0.0, 0.5), strict=True
    ):
        assert torch.equal(doubled, 2 * plain)


def test_the_likely_cause_is_the_correction_that_passes():
    tried = [("a", lambda: 1.0), ("b", lambda: 0.01), ("c", lambda: 1 / 0), ("d", lambda: 0.0), ("e", lambda: 0.0)]
    assert diagnosis.likely(tried, 0.1) == "b or d"
    assert diagnosis.likely(tried[:1], 0.1) == ""


def test_a_report_says_what_failed_and_why():
    found = [
        report.verdict("sum", 2.0, 1.0, example="1 + 1", cause=lambda: "it adds", read="page 1"),
        report.verdict("nan", math.nan, 1.0),
        report.verdict("good", 1.0, 1.0, cause=lambda: pytest.fail("a cause is looked for in vain")),
        report.reported("figure", 3.0, "nats"),
    ]
    whole = report.run_checks("thing", "quick", [("all", lambda: found), ("raises", lambda: [][1])])
    assert [finding.check for finding in whole.failures] == ["sum", "nan", "raises"]
    assert not whole.ok
    assert "likely cause: it adds" in str(whole)
    assert "read: page 1" in str(whole)
    record = json.loads(whole.to_json())
    assert record["ok"] is False
    assert record["findings"][1]["error"] is None
    assert "IndexError" in record["findings"][-1]["example"]


def test_the_quantile_and_the_band_keep_their_family():
    assert 2 * (
        1 - torch.special.ndtr(torch.tensor(significance.quantile(10), dtype=torch.float64))
    ) * 10 == pytest.approx(significance.FAMILY, rel=1e-3)
    assert 2 * math.exp(-2 * 500 * significance.band(500, 3) ** 2) * 3 == pytest.approx(significance.FAMILY)
    seen = significance.mean_of(torch.tensor([1.0, -1.0, 1.0, -1.0]), 0.0)
    assert (seen.deviation, seen.error) == (0.0, pytest.approx(2 / math.sqrt(3) / 2))


def test_few_and_skewed_numbers_keep_the_tails():
    """Means of 122 squared normal numbers: 0.0095 lie beyond three plain standard errors, 0.0027 of a normal do."""
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(3000, 122, generator=draw, dtype=torch.float64).square() - 1
    off = torch.tensor([significance.mean_of(row).deviation for row in rows]).abs()
    assert (off > 2).double().mean() == pytest.approx(0.04, abs=0.012)
    assert (off > 3).double().mean() < 0.005
    for samples in (50, 122, 1000):
        exact = student.ppf(1 - significance.FAMILY / 40, samples - 1)
        assert significance.quantile(20, samples - 1) == pytest.approx(exact, rel=2e-3)


def test_a_solver_of_another_engine_is_measured_by_the_same_functions():
    at = orders.on_grid(EulerMaruyama())
    assert isinstance(at(4), FixedGrid)
    assert orders.weak_on_linear(at, ItoSDE, "up", orders.uniform).order == pytest.approx(1.0, abs=0.05)
