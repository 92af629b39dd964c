"""Whatever the disk did to the files of a run, it goes on from what is whole, or says in a sentence that nothing is.

`tests/training/test_checkpoint.py` truncates, removes and exchanges the files of one checkpoint; here whole runs meet
random damage, in the checkpoint and in the files beside it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import warnings

import pytest

from sde_diffusion.cli.main import main
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.training import RunFolder, latest
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from tests.cli.conftest import TINY
from tests.faults.conftest import one_in, sentences

EVERYDAY, ALL, BESIDE = 25, 1000, 300
SHARES = [0.0, 0.01, 0.5, 0.999]


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("attempts", [EVERYDAY, pytest.param(ALL, marks=pytest.mark.slow)])
def test_one_flipped_bit_of_the_newest_checkpoint(run, attempted, tmp_path, attempts, is_sentence):
    """In files drawn in proportion to their sizes, with a fixed seed; the one before is found, nothing is deleted."""
    run(tmp_path, checkpoint_every=1, max_checkpoints=2).go(reports=3)
    older, newest = checkpoints(tmp_path / "checkpoints").values()
    files = sorted(newest.iterdir())
    drawn = random.Random(2)

    def attempt(_):
        (path,) = drawn.choices(files, [file.stat().st_size for file in files])
        whole = path.read_bytes()
        damaged, bit = bytearray(whole), drawn.randrange(8 * len(whole))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        before = snapshot(tmp_path)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = latest(tmp_path / "checkpoints")
        assert found == older, f"bit {bit} of {path.name} was not noticed"
        assert len(said) == 1
        assert is_sentence(str(said[0].message))
        assert snapshot(tmp_path) == before
        path.write_bytes(whole)

    attempted(range(attempts), attempt)
    assert latest(tmp_path / "checkpoints") == newest


CONFIG = {"seed": 0, "network": {"name": "mlp", "width": 8}}
ASIDE_FILES = ["config.json", "versions.json", "metrics.jsonl", "lock"]


def begun(run, folder):
    run(RunFolder.create(folder, CONFIG), checkpoint_every=2).go(reports=4)
    return folder


def goes_on_or_says_why(run, same, wanted, folder, is_sentence) -> bool:
    """Whether the run of a damaged folder was finished, to the weights `wanted`; else one sentence names the file."""
    before, error = snapshot(folder / "checkpoints"), None
    try:
        with warnings.catch_warnings():  # a flipped bit of versions.json is another environment, and said to be one
            warnings.filterwarnings("ignore", message=".* goes on in another environment")
            again = run(RunFolder.create(folder, CONFIG), checkpoint_every=2)
        again.go()
    except (ValueError, OSError) as caught:
        error = caught
    if error is not None:
        assert is_sentence(error), error
        assert str(folder) in str(error), f"the sentence names no file: {error}"
        assert snapshot(folder / "checkpoints") == before
        return False
    assert same(again.weights(), wanted), "it went on to other weights"
    metrics_file.read(folder / "metrics.jsonl")
    return True


@pytest.mark.parametrize("attempts", [EVERYDAY, pytest.param(BESIDE, marks=pytest.mark.weekly)])
def test_one_flipped_bit_beside_the_checkpoints(run, same, attempted, tmp_path, attempts, is_sentence):
    whole = run(checkpoint_every=2)
    whole.go()
    wanted, source = whole.weights(), begun(run, tmp_path / "source")
    drawn, ends = random.Random(3), []

    def attempt(number):
        folder = shutil.copytree(source, tmp_path / str(number))
        path = folder / drawn.choice(ASIDE_FILES)
        damaged = bytearray(path.read_bytes() or b"\0")  # the lock is empty
        bit = drawn.randrange(8 * len(damaged))
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        ends.append(goes_on_or_says_why(run, same, wanted, folder, is_sentence))
        shutil.rmtree(folder)

    attempted(range(attempts), attempt)
    assert set(ends) == {True, False}


def test_a_truncated_file_beside_the_checkpoints(run, same, attempted, tmp_path, is_sentence):
    whole = run(checkpoint_every=2)
    whole.go()
    wanted, source = whole.weights(), begun(run, tmp_path / "source")

    def attempt(case):
        name, share = case
        folder = shutil.copytree(source, tmp_path / f"{name}-{share}")
        os.truncate(folder / name, int((folder / name).stat().st_size * share))
        goes_on_or_says_why(run, same, wanted, folder, is_sentence)

    attempted([(name, share) for name in ASIDE_FILES for share in SHARES], attempt)


DAMAGE = {
    "manifest missing": lambda path: (path / "manifest.json").unlink(),
    "weights truncated": lambda path: os.truncate(path / "model.safetensors", 100),
    "folder empty": lambda path: [file.unlink() for file in path.iterdir()],
    "a file in its place": lambda path: (shutil.rmtree(path), path.write_text("hello")),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("command", ["train", "sample"])
def test_all_bad_is_a_sentence_and_code_2(tmp_path, capsys, monkeypatch, kind, command):
    """For the commands too: nothing is begun anew, nothing deleted."""
    monkeypatch.chdir(tmp_path)
    train = ["train", *TINY, "--training.steps", "4", "--training.checkpoint_every", "2", "--output", "run"]
    assert main(train) == 0
    for path in checkpoints(tmp_path / "run/checkpoints").values():
        DAMAGE[kind](path)
    before = snapshot(tmp_path / "run/checkpoints")
    capsys.readouterr()
    longer = {"train": train, "sample": ["sample", "run"]}[command]
    assert main(longer) == 2
    said = capsys.readouterr().err
    assert said.startswith("sde-diffusion: none of the 2 checkpoints")
    assert said.count("\n") == 1
    assert snapshot(tmp_path / "run/checkpoints") == before


def test_a_report_leaves_out_records_without_a_step_or_a_loss(tmp_path):
    """What a flipped bit in a name leaves is JSON still; the curve is drawn from the others."""
    from sde_diffusion.evaluation.training_blocks import training_blocks

    names = [("step", "loss"), ("ste0", "loss"), ("step", "lozs"), ("step", "loss")]
    lines = [{step: number, loss: 0.5} for number, (step, loss) in enumerate(names, 1)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, picture = training_blocks(RunFolder(tmp_path), tmp_path / "figures")
    assert picture.caption == "The loss over 4 steps."
    assert picture.path.stat().st_size > 5000


@one_in(3)
def test_a_truncated_file_beside_the_checkpoints_of_the_command(tmp_path, capsys, monkeypatch, attempted, every):
    """`model.json` too, which the small run has not: exit code 0 or one sentence and 2, never a traceback."""
    monkeypatch.chdir(tmp_path)
    train = ["train", *TINY, "--training.steps", "2", "--output", "run"]
    assert main(train) == 0
    files = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert "model.json" in files
    capsys.readouterr()

    def attempt(case):
        (name, share), command = case
        (tmp_path / "run" / name).write_bytes(files[name][: int(len(files[name]) * share)])
        code, said = main({"train": train, "sample": ["sample", "run", "--count", "1"]}[command]), capsys.readouterr()
        assert (code, len(sentences(said.err))) in [(0, 0), (2, 1)], (code, said.err)
        for other, content in files.items():
            (tmp_path / "run" / other).write_bytes(content)
        shutil.rmtree(tmp_path / "run" / "samples", ignore_errors=True)

    cases = [
        (name, share) for name in ("config.json", "model.json", "metrics.jsonl", "versions.json") for share in SHARES
    ]
    attempted([(case, command) for case in cases for command in ("train", "sample")][::every], attempt)
    assert json.loads(files["config.json"])["training"]["steps"] == 2
