"""`reproduce`: from the data's files to a page, on made-up pictures; what is asked and expected of figures."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from sde_diffusion.cli import reproductions
from sde_diffusion.cli.commands import reproduce
from sde_diffusion.cli.main import main
from sde_diffusion.evaluation.reproduction import ACCURACY, Figure, Goal, Reproduction


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Fashion-MNIST's four files with 400 + 120 pictures: class k is a bar at its own place, in noise."""
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    chance = np.random.default_rng(0)
    for name, count in (("train", 400), ("t10k", 120)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = chance.integers(0, 60, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 3 : 2 * label + 6] += 150
        for kind, head, rows in (("images-idx3", struct.pack(">IIII", 2051, count, 28, 28), images),
                                 ("labels-idx1", struct.pack(">II", 2049, count), labels)):  # fmt: skip
            (folder / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + rows.tobytes()))
    return tmp_path / "data"


@pytest.mark.slow
def test_the_quick_run_leaves_a_page_and_goes_on_where_it_stopped(pictures, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wanted = ["reproduce", "fashion-mnist", "--quick", "--root", str(pictures), "--device", "cpu"]
    assert main(wanted) == 0
    folder = tmp_path / "runs" / "reproduce-fashion-mnist-quick"
    found = json.loads((folder / "reproduction.json").read_text())
    figures = {one["name"]: one for one in found["figures"]}
    assert {"Frechet, classifier", "KID, classifier", "recall, classifier", ACCURACY} <= figures.keys()
    assert all(
        one["low"] <= one["value"] <= one["high"] and one["n"] == 100 and one["seed"] == 0 for one in figures.values()
    )
    assert figures[ACCURACY]["real"] > 0.9
    assert found["goals"] == {
        "Frechet, classifier": "at most 3",
        ACCURACY: "at least 0.96",
        "recall, classifier": "at least 0.9",
    }
    bill = found["bill"]
    assert bill["training, samples"] == 40 * 32
    assert bill["training, hours"] > 0
    page = (folder / "report.md").read_text()
    assert "at most 3" in page
    assert "samples.png" in page
    assert "Frechet, classifier" in capsys.readouterr().out
    again = main(wanted)
    assert again == 0
    later = json.loads((folder / "reproduction.json").read_text())
    assert later["figures"] == found["figures"]
    assert later["bill"]["training, hours"] == bill["training, hours"]


def test_an_unknown_recipe_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "fashion_mnst"]) == 2
    assert "did you mean 'fashion-mnist'" in capsys.readouterr().err
    assert main(["reproduce", "fashion-mnist", "--steps", "0"]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", reproductions.names())
@pytest.mark.parametrize("quick", [True, False])
def test_a_recipe_names_what_there_is(name, quick, tmp_path):
    """Its goals are of figures that it measures; a published figure is one of these, or it is marked as not measured."""
    made = reproductions.recipe(name, str(tmp_path), quick)
    measured = {f"{one}, {features}" for features, names in made.features.items() for one in names if one != ACCURACY}
    measured |= {ACCURACY}
    assert {goal.figure for goal in made.goals} <= measured
    expected = reproductions.expected(name)
    assert expected["status"] == "not yet measured" or expected["figures"].keys() <= measured
    assert (expected["status"] == "not yet measured") == (not expected["figures"])
    assert made.config.part("data")["download"]
    assert made.config.training.steps > 0


def figure(**more) -> Figure:
    return Figure(
        **{"name": "a", "value": 2.0, "low": 1.5, "high": 2.5, "n": 10, "seed": 0, "real": 1.0, "ratio": 2.0, **more}
    )


def made(expected: dict, *goals: Goal) -> Reproduction:
    return Reproduction("x", [], [figure()], goals, expected, {"hours": 0.123456}, Path("x.png"))


@pytest.mark.parametrize(
    ("low", "high", "agrees"),
    [(1.0, 1.4, False), (1.0, 1.5, True), (2.4, 3.0, True), (2.6, 3.0, False), (0.0, 9.0, True)],
)
def test_a_figure_agrees_where_the_intervals_overlap(low, high, agrees):
    found = made({"status": "measured", "figures": {"a": {"value": 1.0, "low": low, "high": high}}})
    assert found.verdicts() == {"a": agrees}
    assert found.table().rows[0][-1] == ("1, agrees" if agrees else "1, differs")


def test_what_was_not_measured_says_so_and_can_become_what_is_expected(tmp_path):
    found = made({"status": "not yet measured", "figures": {}}, Goal("a", most=1.9))
    assert found.verdicts() == {}
    assert found.table().rows[0][-2:] == ["at most 1.9: not met", "not yet measured"]
    assert made(found.as_expected()).verdicts() == {"a": True}


@pytest.mark.parametrize(
    ("goal", "ratio", "met"),
    [
        (Goal("a", most=3.0), 3.0, True),
        (Goal("a", most=3.0), 3.1, False),
        (Goal("a", least=0.9), 0.9, True),
        (Goal("a", least=0.9), 0.8, False),
    ],
)
def test_goals(goal, ratio, met):
    assert goal.met(ratio) == met


def test_the_time_of_a_run_that_goes_on_is_added_up(tmp_path, monkeypatch):
    clock = iter([0.0, 5.0, 10.0, 17.0])
    monkeypatch.setattr(reproduce.time, "perf_counter", lambda: next(clock))
    with pytest.raises(KeyboardInterrupt), reproduce._timed(tmp_path, "training"):
        raise KeyboardInterrupt
    (tmp_path / "checkpoints" / "step-000020").mkdir(parents=True)
    before = reproduce._before(tmp_path, 40)
    assert before == (5.0, True)
    with reproduce._timed(tmp_path, "training", *before):
        (tmp_path / "checkpoints" / "step-000040").mkdir()
    assert reproduce._before(tmp_path, 40) == (12.0, False)
