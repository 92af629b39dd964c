"""Vector conditions from the command line: columns of a table and arrays beside an array, in the user's own units."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sde_diffusion.cli.main import main

DRAWS = np.random.default_rng(0)
ROWS = 240
POWER = DRAWS.normal(100, 30, ROWS)
WEIGHT = DRAWS.normal(3000, 500, ROWS)
MPG = 60 - 0.1 * POWER - 0.006 * WEIGHT + DRAWS.normal(0, 1, ROWS)
SPEED = 20 - 0.08 * POWER + DRAWS.normal(0, 1, ROWS)
ORIGIN = np.where(np.arange(ROWS) % 2, "usa", "europe")
QUICK = ["--training.batch_size", "64", "--network.width", "32", "--network.depth", "1", "--device", "cpu"]
QUICK += ["--training.learning_rate", "1e-2"]
QUIET = ["--watch.held_out_every", "0", "--watch.levels_every", "0", "--watch.pictures_every", "0"]
GIVEN = [
    "--data",
    "cars.csv",
    "--data.condition",
    "[power, weight]",
    "--data.label",
    "origin",
    "--data.held_out",
    "0.3",
]


def write_table(path: Path) -> None:
    lines = [f"{a!r},{b!r},{c!r},{d!r},{e}" for a, b, c, d, e in zip(MPG.tolist(), SPEED.tolist(), POWER.tolist(),
                                                                   WEIGHT.tolist(), ORIGIN, strict=True)]  # fmt: skip
    path.write_text("\n".join(["mpg,speed,power,weight,origin", *lines]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a table and a run on it, watched at its end."""
    place = tmp_path_factory.mktemp("cars")
    write_table(place / "cars.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        watched = ["--watch.held_out_every", "200", "--watch.levels_every", "200", "--watch.pictures_every", "200"]
        assert main(["train", *GIVEN, *QUICK, *watched, "--training.steps", "200", "--output", "run"]) == 0
    return place


@pytest.fixture
def here(folder, tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(shutil.copytree(folder, tmp_path / "copy"))
    return tmp_path / "copy"


def refusal(capsys, *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("sde-diffusion: ")
    assert error.count("\n") == 1, error
    return error


def samples(*words: str) -> dict[str, torch.Tensor]:
    assert main(["sample", "run", "--nfe", "4", *words, "--output", "out"]) == 0
    found = load_file("out/samples.safetensors")
    shutil.rmtree("out")
    return found


def test_a_run_knows_its_conditions(folder):
    config, data = (json.loads((folder / "run" / name).read_text()) for name in ("config.json", "data.json"))
    assert (config["network"]["context"], config["network"]["classes"], config["condition_dropout"]) == (3, 2, 0.1)
    assert data["columns"] == ["mpg", "speed"]
    assert data["conditions"] == {"power": [POWER.min(), POWER.max()], "weight": [WEIGHT.min(), WEIGHT.max()]}
    assert json.loads((folder / "run" / "model.json").read_text())["condition"]["names"] == ["power", "weight"]
    assert (folder / "run" / "pictures" / "step-000200.png").exists()
    assert (folder / "run" / "loss_by_level.json").exists()


def test_one_row_for_all_a_row_for_each_and_none(here):
    one = samples("--condition", "{weight: 2800, power: 110}", "--label", "usa", "--count", "3")
    assert torch.equal(one["condition"], torch.tensor([[110.0, 2800.0]] * 3, dtype=torch.float64))
    assert torch.equal(samples("--condition", "[110, 2800]", "--label", "usa", "--count", "3")["x"], one["x"])
    Path("rows.csv").write_text("weight,other,power\n2800,x,110\n3500,y,80\n3000,z,95\n")
    each = samples("--condition", "rows.csv", "--label", "usa")
    assert each["condition"].tolist() == [[110.0, 2800.0], [80.0, 3500.0], [95.0, 3000.0]]
    np.save("rows.npy", np.array([[110, 2800], [80, 3500], [95, 3000]]))
    parts = samples("--condition", "rows.npy", "--label", "usa", "--chunk", "2")
    torch.testing.assert_close(parts["x"], each["x"])
    torch.testing.assert_close(each["x"][0], one["x"][0])
    assert float((each["x"] - one["x"]).abs().amax(1)[1:].min()) > 1e-2
    assert "condition" not in samples("--count", "2")


def test_another_condition_is_another_folder(here):
    for given in ("{weight: 2800, power: 110}", "{weight: 2900, power: 110}"):
        assert main(["sample", "run", "--nfe", "4", "--count", "2", "--condition", given]) == 0
    assert main(["sample", "run", "--nfe", "4", "--count", "2"]) == 0
    assert len(list(Path("run/samples").iterdir())) == 3
    np.save("rows.npy", np.array([[110, 2800]]))
    asked = ["sample", "run", "--nfe", "4", "--count", "2", "--condition", "rows.npy", "--output", "out"]
    assert main(asked) == 0
    np.save("rows.npy", np.array([[111, 2800]]))
    assert main(asked) == 2  # the same words, another condition


def test_evaluate_measures_the_joint_law_in_the_units_of_the_table(here):
    assert main(["evaluate", "run", "--steps", "4", "--output", "evaluated"]) == 0
    found = json.loads(Path("evaluated/evaluation.json").read_text())
    columns = found["columns"]
    assert [one["name"] for one in columns["marginals"]] == ["mpg", "speed"]
    pairs = {tuple(one["names"]): one for one in columns["correlations"]}
    assert set(pairs) == {
        ("mpg", "speed"),
        ("mpg", "power"),
        ("mpg", "weight"),
        ("speed", "power"),
        ("speed", "weight"),
    }
    assert pairs["mpg", "weight"]["held_out"] < -0.5  # -0.7 by the law
    assert pairs["speed", "power"]["samples"] < -0.5  # the samples have the conditions of the held-out rows
    assert main(["compare", "run", "--samplers", "default", "--budgets", "4", "--output", "compared"]) == 0
    assert main(["likelihood", "run", "--count", "4", "--steps", "4", "--paths", "2", "--output", "likelihood"]) == 0


def test_a_finished_run_is_found_again_and_another_condition_is_another_run(here, capsys):
    again = ["train", *QUICK, *QUIET, "--training.steps", "200", "--output", "run", *GIVEN]
    before = sorted((path, path.stat().st_mtime_ns) for path in Path("run").rglob("*.safetensors"))
    shutil.rmtree("run/pictures")
    assert "condition" in refusal(capsys, *again, "--data.condition", "[power]")
    assert "context" in refusal(capsys, *again, "--network.context", "9")
    assert sorted((path, path.stat().st_mtime_ns) for path in Path("run").rglob("*.safetensors")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data.condition", "[nothing]"], "has no column 'nothing', but mpg, speed, power, weight, origin"),
        (["--data.condition", "[origin]"], "column 'origin', row 2: 'europe' is no number"),
        (["--data.condition", "[power, power]"], "'power' is a column of the condition and named again"),
        (["--data.condition", "[power]", "--data.columns", "[power, mpg]"], "named again"),
        (["--data.condition", "[mpg, speed, power, weight]"], "all columns are conditions"),
        (["--data.condition", "power", "--network", "diffusers_unet"], "diffusers_unet takes no condition (power)"),
        (["--network.context", "3"], "the data have no numbers as their condition"),
        (
            ["--data.condition", "power", "--condition_dropout", "1.5"],
            "condition_dropout is a share in [0, 1], got 1.5",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_trained_is_refused(here, capsys, words, said):
    label = [] if "[origin]" in words else ["--data.label", "origin"]
    quick = QUIET if "diffusers_unet" in words else QUICK
    error = refusal(capsys, "train", "--data", "cars.csv", *label, *words, *quick, "--output", "new")
    assert said in error
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{power: 110}", "the condition lacks 'weight'"),
        ("{power: 110, weight: 2800, speed: 1}", "has no column 'speed'"),
        ("{power: fast, weight: 2800}", "got 'fast'"),
        ("[1, 2, 3]", "power, weight; got (3,)"),
        ("cars", "write '{power: 1.5, weight: 1.5}', or name a file"),
        ("missing.csv", "'missing.csv' is not there"),
        ("short.csv", "'short.csv' has no column 'weight', but power"),
        ("cars.csv", "has 240 rows for 3 samples"),
        ("cube.npy", "save numbers (N, 2): power, weight"),
    ],
)
def test_what_is_no_condition_is_refused(here, capsys, given, said):
    Path("short.csv").write_text("power\n110\n")
    np.save("cube.npy", np.zeros((2, 2, 2)))
    assert said in refusal(capsys, "sample", "run", "--condition", given, "--count", "3", "--output", "out")
    assert not Path("out").exists()


def test_a_run_without_dropout_refuses_what_asks_for_no_condition(here, capsys):
    asked = [
        "train",
        "--data",
        "cars.csv",
        "--data.label",
        "origin",
        "--data.condition",
        "power",
        "--condition_dropout",
    ]
    assert main([*asked, "0", *QUICK, *QUIET, "--training.steps", "2", "--output", "always"]) == 0
    assert "always needs one; give condition={'power': ...}" in refusal(capsys, "sample", "always", "--count", "2")
    for command in ("tune", "anomalies", "animate"):
        assert f"{command} asks the model without its condition" in refusal(capsys, command, "always")
    assert main(["sample", "always", "--count", "2", "--nfe", "4", "--condition", "{power: 100}"]) == 0


def test_arrays_bring_their_conditions_by_a_key_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = DRAWS.normal(size=(60, 1, 16)).astype(np.float32)
    np.savez("waves.npz", x=x, height=np.arange(60.0))
    np.save("x.npy", x)
    np.save("heights.npy", np.stack([np.arange(60), np.arange(60) ** 2], 1))
    quick = ["--training.steps", "2", "--training.batch_size", "8", "--network.width", "8", "--device", "cpu", *QUIET]
    for words, names in (
        (["--data", "waves.npz", "--data.key", "x", "--data.conditions", "height"], ["c0"]),
        (["--data", "x.npy", "--data.conditions", "heights.npy"], ["c0", "c1"]),
    ):
        assert main(["train", *words, *quick, "--output", names[-1]]) == 0
        assert json.loads(Path(names[-1], "model.json").read_text())["condition"]["names"] == names
        given = "{" + ", ".join(f"{name}: 3" for name in names) + "}"
        assert main(["sample", names[-1], "--count", "2", "--nfe", "3", "--condition", given]) == 0
