"""Benchmarks keep small summaries in git, and the tables are made from them."""

from __future__ import annotations

import json
import math
import statistics
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import adaptive_report, output, tuning_report, work_precision_report
from benchmarks.work_precision import NFE, PROBLEMS, RANGES, merge
from benchmarks.work_precision_report import OURS, Row, load_peers, save_peers, single_peer

CELLS = [" | ".join(pair) for pair in product(PROBLEMS, RANGES)]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NESTED = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Empty folders in the place of benchmarks/results and benchmarks/raw."""
    monkeypatch.setattr(output, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(output, "RAW", tmp_path / "raw")
    for report in (work_precision_report, tuning_report, adaptive_report):
        monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    return tmp_path


# The files.


@given(NESTED)
def test_the_layout_changes_no_value(value):
    assert json.loads(output.laid_out(value)) == value


def test_a_row_has_a_line():
    rows = [[n, "x" * 50] for n in range(9)]
    assert output.laid_out({"a": 1, "rows": rows}).count("\n") == 2 + 1 + 1 + len(rows)


@pytest.mark.parametrize(
    ("value", "digits", "expected"), [(1 / 3, 3, 0.333), (123456.7, 3, 123000.0), (-2.4e-9, 1, -2e-9)]
)
def test_numbers_have_so_many_digits(value, digits, expected):
    assert output.rounded({"a": [value, 7, None, "b"]}, digits) == {"a": [expected, 7, None, "b"]}


def test_a_large_summary_is_refused_and_the_earlier_one_stays(folders):
    path = output.save_summary("a", {"x": 1})
    with pytest.raises(ValueError, match="expected at most 50000"):
        output.save_summary("a", {"x": "y" * output.LARGEST_SUMMARY})
    assert output.load_summary("a") == json.loads(path.read_text()) == {"x": 1}


def test_raw_numbers_keep_all_digits(folders):
    assert output.load_raw("a") == {}
    output.save_raw("a", {"x": [1 / 3, math.pi]})
    assert output.load_raw("a") == {"x": [1 / 3, math.pi]}


# Work and precision.


def raw(errors: dict[str, list[float | None]], metric: str = "rms") -> dict:
    """A raw cell of 100 points, with budgets 5, 10, ..."""
    rows = {name: dict(zip(("5", "10"), row, strict=False)) for name, row in errors.items()}
    return {"points": 100, "metric": metric, "seed": 1, "seconds": 2, "errors": rows}


FIRST = raw({OURS: [0.2, 0.03], "a": [0.1, 0.12], "b": [0.4, 0.01], "never": [0.01, None]})
SHARES = raw({OURS: [0.1, 0.0], "a": [0.05, 0.0], "b": [0.0, 0.0], "never": [None, None]}, "wrong_image")


def entered(key: str, cell: dict) -> None:
    merge("work_precision", key, cell, work_precision_report.summarised(cell))
    save_peers("work_precision", key, work_precision_report.peer_ratios(cell))


def test_a_row_has_the_best_the_median_and_none_where_nothing_is():
    first, second = work_precision_report.summarised(FIRST)["rows"]
    assert first == Row(5, 0.2, 0.01, "never", 0.1, None, None)
    assert second == Row(10, 0.03, 0.01, "b", statistics.median([0.12, 0.01]), None, None)


def test_ratios_are_the_definition(folders):
    entered("two | VP", FIRST)
    ours = math.sqrt((0.2 / 0.01) * (0.03 / 0.01))
    assert work_precision_report.mean_ratio(output.load_summary("work_precision")["cells"].values()) == pytest.approx(
        ours
    )
    expected = {"a": math.sqrt((0.1 / 0.01) * (0.12 / 0.01)), "b": math.sqrt(0.4 / 0.01)}
    assert load_peers("work_precision") == {name: {"two | VP": pytest.approx(r, 1e-4)} for name, r in expected.items()}


def test_shares_get_half_a_trajectory():
    half = 0.005
    found = work_precision_report.peer_ratios(SHARES)
    assert found == {"a": pytest.approx(math.sqrt((0.05 + half) / half)), "b": pytest.approx(1.0)}


def test_a_second_run_keeps_what_the_first_found_without_its_raw_file(folders):
    entered("two | EDM", SHARES)
    (folders / "raw" / "work_precision.json.gz").unlink()
    entered("two | VP", FIRST)
    assert list(output.load_summary("work_precision")["cells"]) == ["two | VP", "two | EDM"]
    ratios = load_peers("work_precision")
    both = math.sqrt(ratios["b"]["two | VP"] * ratios["b"]["two | EDM"])
    assert single_peer(ratios, ["two | VP", "two | EDM"]) == (pytest.approx(both), "b")
    assert list(output.load_raw("work_precision")["cells"]) == ["two | VP"]


def test_a_cell_that_is_run_again_replaces_its_ratios(folders):
    entered("two | VP", FIRST)
    entered("two | VP", raw({OURS: [0.2, 0.03], "b": [0.4, 0.01]}))
    assert load_peers("work_precision") == {"a": {}, "b": {"two | VP": pytest.approx(1.0)}}


def test_without_peers_the_table_says_so(folders):
    entered("two | VP", raw({OURS: [0.2, 0.03]}))
    found = work_precision_report.table(output.load_summary("work_precision"), load_peers("work_precision"))
    assert "| 5 | 2.00e-01 | - | nan | none | - | - |" in found


def test_a_whole_run_fits_into_its_summaries(folders):
    """As many cells, budgets and settings as the benchmark has, with names and numbers as long as they get."""
    settings = [f"{number:03d} a solver with a name of thirty-six" for number in range(198)]
    cells, ratios = {}, {}
    for key in CELLS:
        errors = {name: {nfe: 1e-5 * (math.pi + i) for nfe in NFE} for i, name in enumerate([OURS, *settings])}
        cell = {**raw({}), "errors": errors}
        cells[key] = work_precision_report.summarised(cell)
        ratios = work_precision_report.peer_ratios(cell)
    output.save_summary("work_precision", {"cells": cells})
    rows = {name: [value] * len(CELLS) for name, value in ratios.items()}
    output.save_summary("work_precision_peers", {"cells": CELLS, "ratios": rows}, digits=5)


def test_the_one_panel_shows_the_ratios_of_the_tables():
    """The means' ratio at a budget is the geometric mean of the ratios over the cells."""
    cells = output.load_summary("work_precision")["cells"]
    for place, mean in enumerate(work_precision_report.mean_rows(cells)):
        pairs = [(cell, Row(*cell["rows"][place])) for cell in cells.values()]
        logs = [math.log(work_precision_report.ratio(cell, row.ours, row.best)) for cell, row in pairs]
        assert mean.ours / mean.best == pytest.approx(math.exp(statistics.mean(logs)), rel=1e-9)


def test_the_report_is_written_beside_its_summaries(folders):
    entered("two | VP", FIRST)
    entered("two | EDM", SHARES)
    text = work_precision_report.write_report()
    assert (folders / "results" / "work_precision.md").read_text(encoding="utf-8") == text
    for name in ("work_precision", "work_precision_summary"):
        with Image.open(folders / "results" / f"{name}.png") as picture:
            assert picture.mode == "P"


# Adaptive steps.


def power_law(constant: float, order: int) -> list[dict[str, float]]:
    """A curve whose error is constant / cost^order: straight in logarithms, so that interpolation is exact."""
    return [{"cost": float(cost), "error": constant / cost**order, "tol": 1e-5, "least": 1.0, "most": 2.0, "rejected": 0.5,
             "estimate": 0.1} for cost in (2, 9, 40, 300)]  # fmt: skip


def test_costs_are_those_of_the_curves():
    flow = {"Dopri5": {"adaptive": power_law(1.0, 4), "fixed": {"uniform": power_law(16.0, 4)}, "torchdiffeq": []}}
    found = adaptive_report.summarised(flow)
    exact = [error**-0.25 for error in adaptive_report.LEVELS]
    assert found["Dopri5"]["adaptive"] == pytest.approx(exact)
    assert found["Dopri5"]["uniform"] == pytest.approx([2 * cost for cost in exact])
    assert found["Dopri5"]["torchdiffeq"] == []
    assert adaptive_report.ratios(found["Dopri5"], 0) == (
        pytest.approx(0.5),
        pytest.approx(0.5),
        pytest.approx(math.nan, nan_ok=True),
    )
    assert set(found["spread"]) == {"cost", "least", "most", "rejected", "error", "estimate"}


def test_a_curve_that_never_gets_there_has_no_cost():
    assert adaptive_report.costs(power_law(1.0, 1))[-1] is None


# Tuning.


def test_a_tuning_keeps_its_seconds_and_its_held_out_distances():
    record = {
        "trained_on_samples": [0, 128],
        "iterations": 7,
        "held_out_distance_before": 0.5,
        "held_out_distance_after": 0.1,
    }
    cell = {**FIRST, "tuned": {"5": 0.004}, "tuning_seconds": {"5": 3.0}, "records": {"5": record}}
    found = tuning_report.summarised(cell)
    assert found["tuned_on"] == 128
    assert found["rows"] == [tuning_report.Row(5, 0.004, 0.2, 0.01, "never", 0.1, 3.0, 7, 0.5, 0.1)]
    assert "| 5 | 4.00e-03 | 2.00e-01 | 1.00e-02 | 0.400 | 0.020 | never | 3 |" in tuning_report.rows(found)


# What is in git.


def recorded(name: str) -> str:
    return (output.RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_the_recorded_tables_are_those_of_the_recorded_summaries():
    found = output.load_summary("work_precision")
    assert work_precision_report.table(found, load_peers("work_precision")) == recorded("work_precision")
    assert tuning_report.table(output.load_summary("tuning")) == recorded("tuning")
    assert "\n".join(adaptive_report.lines(output.load_summary("adaptive"))) == recorded("adaptive")
