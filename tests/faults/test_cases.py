"""Cases that were reported from outside, each with its whole kind; where another test holds one, `HELD` names it."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.cli.main import main
from sde_diffusion.denoisers import Preconditioned
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import TrainSettings, fit
from sde_diffusion.training.checkpoints.fingerprint import digest
from tests.cli.conftest import TINY, copied, few_resamples, refused, trained  # noqa: F401
from tests.faults.test_not_finite_results import READERS, SNAPSHOTS

ROOT = Path(__file__).resolve().parents[2] / "tests"
CPU = ["--device", "cpu"]

HELD = {
    "a repository runs programs": [
        "training/test_run_folder.py::test_nothing_of_a_repository_runs", "::test_no_command_runs_a_program_of_the_folder",
    ],
    "the record beside the checkpoints is edited": [
        "cli/test_cli_refusals.py::test_a_record_of_another_network_is_refused", "::test_a_flipped_bit_is_refused",
        "::test_every_command_refuses_an_edited_record",
    ],
    "a link in a run's folder": [
        "::test_training_refuses_a_link", "::test_results_refuse_a_link", "::test_a_file_of_results_is_no_link",
    ],
    "a picture that is a bomb or damaged": ["data/test_picture_files.py::test_random_damage_is_a_picture_or_a_sentence"],
    "the horizon in float32": ["reversal/test_arguments.py::test_the_horizon_in_single_precision_is_inside"],
    "other rows of the data": ["::test_every_row_is_in_the_digest"],
    "a model that answers in another shape, dtype, or NaN": [
        "reversal/test_arguments.py::test_the_model_s_answer_is_like_the_state",
        "faults/test_not_finite_results.py::test_samples_are_looked_at_when_they_leave",
        "sampling/test_in_place.py::test_every_form_refuses_it",
    ],
    "shared weights of another dtype": [
        "cli/test_cli_export_more.py::test_weights_of_another_precision_give_the_samples_of_float32",
        "cli/test_cli_export_more.py::test_weights_that_are_no_real_numbers_are_refused",
    ],
    "damaged JSON of our own": [
        "cli/test_cli_export_more.py::test_a_damaged_comparison_is_left_out_with_a_warning",
        "cli/test_cli_export_more.py::test_a_deep_file_of_a_tuned_solver_is_one_sentence",
    ],
    "YAML: keys twice, old integers": [
        "cli/test_cli_words.py::test_a_key_that_is_given_twice_is_refused",
        "cli/test_cli_words.py::test_integers_are_those_of_yaml_1_2",
    ],
    "settings that decide nothing, on resume": [
        "::test_what_decides_no_weight_may_change", "training/test_fingerprint.py::test_what_decides_nothing_may_change",
    ],
    "signals until the process has ended": ["faults/test_signalled.py::test_signals_until_the_process_is_gone"],
    "export over a folder": ["cli/test_cli_export_more.py::test_a_folder_that_exists_is_named"],
    "results before words": [
        "cli/test_files_before_words.py::test_the_files_are_there_before_the_first_word",
        "cli/test_files_before_words.py::test_an_ascii_terminal_loses_nothing",
    ],
    "python -OO": ["cli/test_cli_entry.py::test_the_package_runs_as_a_module_and_without_docstrings"],
    "skipped steps, untrained models": ["model/test_untrained.py::test_skipped_steps_are_summed_up"],
}  # fmt: skip


@pytest.mark.parametrize("case", HELD)
def test_each_case_is_held_by_a_test(case):
    for named in HELD[case]:
        file, _, name = named.partition("::")
        assert f"def {name}(" in (ROOT / (file or "faults/test_cases.py")).read_text(), named


RECORDS = ["config.json", "model.json"]
"""What lies beside the checkpoints and decides the samples, or what they are compared with."""


def decided(run: Path) -> tuple:
    """All that a command takes from the two files."""
    model = DiffusionModel.load(run, device="cpu")
    parts = {name: model.run[name] for name in ("data", "objective", "sde", "standardization")}
    facts = (model.event_shape, model.class_names, model.levels, model.mean, model.std, model.data_digest)
    return model.sample(2, nfe=3).tolist(), facts, parts


@pytest.mark.parametrize("attempts", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_refused(copied, attempted, attempts):  # noqa: F811
    """In either file: the file is named, or nothing that is read from it has changed."""
    wanted, drawn, names = decided(copied), random.Random(5), []
    sound = {name: (copied / name).read_bytes() for name in RECORDS}

    def attempt(_: int) -> None:
        name = drawn.choice(RECORDS)
        damaged, bit = bytearray(sound[name]), drawn.randrange(8 * len(sound[name]))
        damaged[bit // 8] ^= 1 << bit % 8
        for one in RECORDS:
            (copied / one).write_bytes(damaged if one == name else sound[one])
        try:
            assert decided(copied) == wanted, f"bit {bit} of {name}"
        except ValueError as error:
            names.append(str(copied) in str(error))
            assert ".json" in str(error) or "step-" in str(error), error  # noqa: PT017

    attempted(range(attempts), attempt)
    assert sum(names) > attempts / 2


EDITS = {
    "the scale": ("model.json", lambda found: found["standardization"].update(scale=found["standardization"]["scale"] * 1.5)),
    "the deviation": ("model.json", lambda found: found.update(std=2.0)),
    "the process": ("model.json", lambda found: found.update(process={"name": "sub_vp"})),
    "the data": ("config.json", lambda found: found["data"].update(held_out=30)),
    "the process of the run": ("config.json", lambda found: found.update(sde={"name": "sub_vp"})),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run with snapshots, for all commands."""
    folder = tmp_path_factory.mktemp("cases") / "run"
    assert main(["train", *TINY, *SNAPSHOTS, "--output", str(folder)]) == 0
    return folder


def words_for(command: str, source: Path) -> list[str]:
    return [str(source) if word == "RUN" else word for word in READERS[command]]


@pytest.mark.parametrize("command", READERS)
def test_every_command_refuses_an_edited_record(run, tmp_path, attempted, refused, command):  # noqa: F811
    source = Path(shutil.copytree(run, tmp_path / "copy"))

    def attempt(edit: str) -> None:
        name, change = EDITS[edit]
        for one in RECORDS:
            shutil.copy(run / one, source / one)
        content = json.loads((run / name).read_text())
        change(content)
        (source / name).write_text(json.dumps(content))
        before = sorted(source.rglob("*"))
        assert "json" in (said := refused(*words_for(command, source))) or "another run" in said
        assert sorted(source.rglob("*")) == before

    # `train` writes model.json anew
    attempted([edit for edit, (name, _) in EDITS.items() if command != "train" or name != "model.json"], attempt)


def test_a_file_that_training_writes_anew_is_right_again(run, tmp_path):
    source = Path(shutil.copytree(run, tmp_path / "copy"))
    (source / "model.json").write_text((run / "model.json").read_text().replace('"std": 1', '"std": 3'))
    assert main(words_for("train", source)) == 0
    assert DiffusionModel.load(source, device="cpu").std == DiffusionModel.load(run, device="cpu").std


FILES = ["lock", "metrics.jsonl", "config.json", "versions.json", "model.json", "loss_by_level.png", "tuned-3.json"]
FOLDERS = ["checkpoints", "snapshots", "pictures", "tensorboard", "samples"]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def linked(place: Path, target: Path) -> dict[str, bytes]:
    """Put a link in the place of a file or folder, whose content moves to where it leads; what lies there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(place):
        shutil.move(place, target)
    else:
        target.write_text("precious")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return content(target.parent)


@pytest.mark.parametrize("name", [*FILES, *FOLDERS, "checkpoints/step-000012", "pictures/film.gif"])
def test_training_refuses_a_link(run, tmp_path, refused, name):  # noqa: F811
    source = Path(shutil.copytree(run, tmp_path / "copy"))
    before = linked(source / name, tmp_path / "victims" / "victim")
    said = refused(*words_for("train", source))
    assert f"{source / name} is a symbolic link" in said
    assert content(tmp_path / "victims") == before


RESULTS = {
    "samples": "sample", "samples/default-2-seed0-n2": "sample", "evaluate": "evaluate", "compare": "compare",
    "likelihood": "likelihood", "anomalies": "anomalies", "averages": "average", "lengths": "average --sweep",
    "tuned-3.json": "tune",
}  # fmt: skip


@pytest.mark.parametrize("place", RESULTS)
def test_results_refuse_a_link(run, tmp_path, refused, place):  # noqa: F811
    source = Path(shutil.copytree(run, tmp_path / "copy"))
    before = linked(source / place, tmp_path / "victims" / "victim")
    said = refused(*words_for(RESULTS[place], source))
    assert f"{source / place} is a symbolic link" in said
    assert content(tmp_path / "victims") == before


@pytest.mark.parametrize("name", ["samples.png", "samples.json", "made.json", "chunks-12345678"])
def test_a_file_of_results_is_no_link(run, tmp_path, refused, name):  # noqa: F811
    """Not in a folder of one's own choice either."""
    words = [*words_for("sample", run), "--output", "out"]
    assert main(words) == 0
    before = linked(tmp_path / "out" / name, tmp_path / "victims" / "victim")
    assert f"out/{name} is a symbolic link" in refused(*words)
    assert content(tmp_path / "victims") == before


def test_no_command_runs_a_program_of_the_folder(run, tmp_path, monkeypatch):
    """A repository with a filter, hooks and a monitor in the working directory: no `git` is started, nor what they name."""
    evil, canary, started = tmp_path / "evil", tmp_path / "sang", []
    evil.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    evil.chmod(0o755)
    home = tmp_path / "repository"
    (home / ".git/hooks").mkdir(parents=True)
    (home / ".git/HEAD").write_text("ref: refs/heads/main")
    (home / ".git/config").write_text(f'[core]\n\tfsmonitor = {evil}\n[filter "x"]\n\tclean = {evil}\n')
    (home / ".gitattributes").write_text("* filter=x")
    shutil.copy(evil, home / ".git/hooks/post-index-change")
    monkeypatch.chdir(home)

    class Noted(subprocess.Popen):
        def __init__(self, args, *more, **options):
            started.append(args)
            super().__init__(args, *more, **options)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    source = Path(shutil.copytree(run, tmp_path / "copy"))
    for command in ("train", "sample", "evaluate", "likelihood", "tune", "export", "average"):
        assert main(words_for(command, source)) == 0, command
    assert not canary.exists()
    assert not [args for args in started if "git" in str(args)]


def test_every_row_is_in_the_digest(attempted):
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    wanted = digest({"data": x})

    def attempt(row: int) -> None:
        other = x.clone()
        other[row, row % 2] += 1e-6
        assert digest({"data": other}) != wanted

    attempted(range(1000), attempt)
    assert digest({"data": x.flip(0)}) != wanted
    assert digest({"data": x.clone()}) == wanted


@pytest.mark.filterwarnings("ignore:the data have")
@pytest.mark.parametrize("attempts", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_a_run_goes_on_with_its_own_rows_alone(tmp_path, attempted, attempts):
    """Some rows replaced, exchanged, or one number moved by a unit in its last place; those of an even sample never."""
    x, drawn = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)), random.Random(3)
    even = torch.linspace(0, 999, 256, dtype=torch.float64).round().long()
    rest = [row for row in range(1000) if row not in {*even.tolist()}]
    settings = TrainSettings(steps=2, batch_size=4)

    def go(data: torch.Tensor) -> None:
        torch.manual_seed(0)
        model = Preconditioned(TimeMLP(2, 4, 1), EDMPreconditioning())
        fit(model, VP(), data, settings, folder=tmp_path / "run", device="cpu", callbacks=[])

    def attempt(_: int) -> None:
        other, rows = x.clone(), drawn.sample(rest, drawn.choice([2, 10, 744]))
        match drawn.randrange(3):
            case 0:
                other[rows] = 1000.0
            case 1:
                other[rows] = x[rows].roll(1, 0)
            case 2:
                other[rows[0], 1] = torch.nextafter(x[rows[0], 1], torch.tensor(9.0))
        with pytest.raises(ValueError, match="another run: data"):
            go(other)

    go(x)
    before = content(tmp_path / "run")
    attempted(range(attempts), attempt)
    go(x.clone())
    assert content(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_checkpoints", 5), ("log_every", 7), ("checkpoint_every", 9), ("max_consecutive_skips", 20)],
)
def test_what_decides_no_weight_may_change(copied, name, value):  # noqa: F811
    """On the command line too: the finished run is taken as it is."""
    before = content(copied / "checkpoints")
    assert main(["train", *TINY, f"--training.{name}", str(value), "--output", str(copied)]) == 0
    assert content(copied / "checkpoints") == before
