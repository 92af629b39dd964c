"""Bad input is refused in one sentence, with exit code 2 and no traceback, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from sde_diffusion.cli.main import main
from tests.cli.conftest import TINY
from tests.cpu_limit import cpu_limit

UNKNOWN = [
    (["trian"], "train"),
    (["train", "--traning.steps", "3"], "training.steps"),
    (["train", "--stesp", "3"], "training.steps"),
    (["train", "--sde", "vpp"], "vp"),
    (["train", "--sde", "sub-vpp"], "sub_vp"),
    (["train", "--sde.beta_mx", "3"], "beta_max"),
    (["train", "--data", "digit"], "digits"),
    (["train", "--data.held_ot", "3"], "held_out"),
    (["train", "--network", "unett"], "unet"),
    (["train", "--network.widht", "3"], "width"),
    (["train", "--parameterization", "velocty"], "velocity"),
    (["train", "--objective", "denoising_score_maching"], "denoising_score_matching"),
    (["train", "--objective.weighting", "simpel"], "simple"),
    (["train", "--objective.times", "log_normal_level(men=1)"], "mean"),
    (["train", "--device", "cudda"], "cuda"),
    (["compare", "--law", "tow"], "two"),
    (["compare", "--law", "two", "--samplers", "[reverse_sd]"], "euler_maruyama"),
    (["compare", "--law", "two", "--samplers", "[reverse_sd/heun/3]"], "reverse_sde"),
    (["compare", "--law", "two", "--samplers", "[reverse_sde/heunn]"], "heun"),
    (["compare", "--law", "two", "--samplers", "[reverse_sde(etta=1)]"], "eta"),
    (["animate", "--law", "ring"], "ring8"),
    (["info", "--kind", "proces"], "process"),
]


@pytest.mark.parametrize(("arguments", "near"), UNKNOWN, ids=lambda value: value if isinstance(value, str) else "")
def test_an_unknown_name_gets_the_nearest(refused, arguments, near):
    assert f"did you mean {near!r}?" in refused(*arguments)
    assert not list(Path.cwd().glob("runs/*/config.json"))


@pytest.mark.parametrize(
    "name", ["../x", "/tmp/x", "a/b", "a\0b", "x" * 300, "", ".", "..", ".hidden", "-x", "a\nb", "é", "a."]
)
@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_run_name_that_leaves_its_folder_is_refused(refused, command, name):
    assert "a run's name is" in refused(command, f"--name={name}", *TINY)
    assert list(Path.cwd().iterdir()) == []


def test_a_run_name_that_is_a_link_is_refused(refused, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(elsewhere)
    assert "symbolic link" in refused("train", "--name", "linked", *TINY)
    assert list(elsewhere.iterdir()) == []


OUT_OF_RANGE = [
    ["train", "--training.steps", "0"],
    ["train", "--training.steps", "1e-4"],
    ["train", "--training.steps", "many"],
    ["train", "--training.learning_rate", "nan"],
    ["train", "--sde.beta_max", "high"],
    ["train", "--sde.beta_max", "-1"],
    ["train", "--sde", "{name: 3}"],
    ["train", "--sde", "__import__('os')"],
    ["train", "--objective.weighting", "simple(gamma=3)"],
    ["train", "--config", "nowhere.yaml"],
    ["train", "--network.classes", "7"],
    ["sample"],
    ["sample", "nowhere"],
    ["compare"],
    ["compare", "a", "--law", "two"],
    ["compare", "--law", "two", "--budgets", "[0]"],
    ["compare", "--law", "two", "--samplers", "[probability_flow/euler_maruyama]"],
    ["compare", "--law", "two", "--samplers", "[predictor_corrector(reversal=reverse_sde)/20]"],
    ["compare", "--law", "two", "--samplers", "[reverse_sde/99999999999]"],
    ["compare", "--law", "two", "--samplers", "[reverse_sde/20/uniform(rho=2)]"],
    ["animate", "--frames", "1"],
    ["animate", "--law", "mixture64"],
    ["demo", "--samplers", "[]"],
    ["demo", "--samplers", "[ancestral, ancestral]"],
    ["compare", "--law", "two", "--samplers", "[ddim/3, ddim/4]"],
]


@pytest.mark.parametrize("arguments", OUT_OF_RANGE, ids=" ".join)
def test_a_wrong_value_is_refused(refused, arguments):
    assert len(refused(*arguments)) < 400


BOMBS = {
    "alias": "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "alias in a value": "sde: &x {name: vp}\nnetwork: *x\n",
    "deep flow": "sde: " + "[" * 5000 + "]" * 5000,
    "deep mapping": "\n".join(" " * i + "a:" for i in range(200)),
    "python tag": "sde: !!python/object/apply:os.system ['touch canary']\n",
    "local tag": "sde: !x vp\n",
    "long": "name: " + "x" * 70_000,
    "no yaml": "sde: [vp\n",
    "unknown key": "training: {learnign_rate: 1e-4}\n",
    "wrong type": "training: {steps: [1, 2]}\n",
    "a list": "- 1\n- 2\n",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_hostile_configuration_is_refused_within_a_second(refused, tmp_path, kind):
    """CPU seconds of this process."""
    path = tmp_path / "run.yaml"
    path.write_text(BOMBS[kind])
    start = time.process_time()
    refused("train", "--config", str(path))
    assert time.process_time() - start < cpu_limit(1)
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "runs").exists()


def test_a_bomb_on_the_command_line_is_refused_too(refused):
    start = time.process_time()
    refused("train", "--sde", "{name: &a [x], b: [*a, *a]}")
    assert time.process_time() - start < cpu_limit(1)


def test_an_option_of_a_bomb_is_named(refused, tmp_path):
    (tmp_path / "run.yaml").write_text(BOMBS["unknown key"])
    assert "did you mean 'training.learning_rate'?" in refused("train", "--config", "run.yaml")


def test_a_folder_that_holds_something_else_is_refused(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for arguments in (["train", *TINY], ["compare", "--law", "two"], ["animate"]):
        assert "thesis.txt" in (sentence := refused(*arguments, "--output", "mine")) or "did not make" in sentence
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_a_folder_that_holds_another_run_is_refused(refused, copied):
    sentence = refused("train", *TINY, "--training.learning_rate", "0.5", "--output", str(copied))
    assert "another run" in sentence
    assert "training.learning_rate is 0.002 there and 0.5 here" in sentence
    sentence = refused("demo", *TINY, "--sde", "ve", "--output", str(copied))
    assert "another run" in sentence


def test_samples_made_otherwise_are_not_written_over(refused, copied, tmp_path):
    asked = ["sample", str(copied), "--count", "2", "--chunk", "2", "--output", "out"]
    assert main(asked) == 0
    before = (tmp_path / "out" / "samples.safetensors").read_bytes()
    assert main(asked) == 0
    assert "seed is 0 there and 1 here" in refused(*asked, "--seed", "1")
    assert (tmp_path / "out" / "samples.safetensors").read_bytes() == before


def newest(run: Path) -> Path:
    return max((run / "checkpoints").iterdir())


def flip(path: Path) -> None:
    """Change one bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_refused_when_there_is_no_other(refused, copied):
    for path in (copied / "checkpoints").iterdir():
        flip(path / "ema.safetensors")
    assert "damaged" in refused("sample", str(copied))


@pytest.mark.filterwarnings("default")
def test_a_damaged_checkpoint_falls_back_to_the_one_before_with_a_warning(copied, capsys):
    flip(newest(copied) / "ema.safetensors")
    assert main(["sample", str(copied), "--count", "2", "--chunk", "2"]) == 0
    error = capsys.readouterr().err
    assert error.startswith("sde-diffusion: warning: ")
    assert "falling back to step-000008" in error


def edited(path: Path, change) -> None:
    """A JSON file whose content was changed by hand."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_foreign_checkpoint_is_refused(refused, copied, tmp_path):
    """Whole checkpoints of another run, under manifests that vouch for them: another network, another seed."""
    for name, option in (("network", ["--network.width", "24"]), ("seed", ["--training.seed", "1"])):
        assert main(["train", *TINY, *option, "--training.steps", "4", "--output", str(tmp_path / name)]) == 0
        shutil.rmtree(copied / "checkpoints")
        shutil.copytree(tmp_path / name / "checkpoints", copied / "checkpoints")
        said = refused("sample", str(copied))
        assert "step-000004" in said
        assert ("model.json is not the record" if name == "network" else "training.seed is 1 there and 0") in said


def test_a_record_of_another_network_is_refused(refused, copied):
    edited(copied / "model.json", lambda record: record["network"].update(width=24))
    assert "model.json is not the record that step-000012 was made with" in refused("sample", str(copied))


def test_a_configuration_of_another_network_is_refused(refused, copied):
    edited(copied / "config.json", lambda config: config["network"].update(width=24))
    said = refused("sample", str(copied))
    assert "config.json is not the configuration" in said
    assert "network.width is 24 there and 16" in said


def test_a_configuration_may_differ_in_what_decides_no_weight(copied, tmp_path):
    edited(copied / "config.json", lambda config: config["training"].update(steps=40, log_every=7, checkpoint_every=9))
    assert main(["sample", str(copied), "--count", "2", "--chunk", "2", "--steps", "2", "--device", "cpu"]) == 0


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"sde": 3}', "[" * 5000])
def test_a_damaged_configuration_is_refused(refused, copied, text):
    (copied / "config.json").write_text(text)
    assert "config.json" in refused("sample", str(copied))


def test_a_run_without_checkpoints_says_so(refused, copied):
    for path in sorted(copied.rglob("checkpoints/*/*")):
        path.unlink()
    for path in (copied / "checkpoints").iterdir():
        path.rmdir()
    assert "no checkpoint yet" in refused("sample", str(copied))


def test_a_label_for_a_model_without_labels_is_refused(refused, trained):
    said = refused("sample", str(trained), "--label", "3")
    assert "trained without labels" in said
    assert "train one with --network.classes" in said


def test_a_run_is_suggested_by_name(refused, copied, tmp_path):
    (tmp_path / "runs").mkdir()
    copied.rename(tmp_path / "runs" / "digits")
    assert "did you mean 'digits'?" in refused("sample", "digist")


def test_debug_shows_where(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no process"):
        main(["--debug", "train", "--sde", "vpp"])
