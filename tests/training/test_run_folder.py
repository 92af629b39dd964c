"""A run's folder: how it was made, whose it is, and what was reported."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.io.git import commit as git_commit
from sde_diffusion.training import RunFolder, run_folder

CONFIG = {"seed": 3, "sde": {"name": "vp", "beta": (0.1, 20.0)}, "steps": 10}


@pytest.fixture(autouse=True)
def outside_any_repository(tmp_path_factory, monkeypatch):
    """The state of git is that of the working directory, which other work may change during a test."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


def test_a_folder_says_how_it_was_made(tmp_path):
    run = RunFolder.create(tmp_path / "runs/a", CONFIG)
    assert json.loads(run.config_file.read_bytes()) == CONFIG | {"sde": {"name": "vp", "beta": [0.1, 20.0]}}
    (made,) = json.loads(run.versions_file.read_bytes())
    assert made["python"] == platform.python_version()
    assert made["packages"]["torch"] == importlib.metadata.version("torch")
    assert os.fspath(run) == str(tmp_path / "runs/a")


def test_the_same_configuration_finds_it_again(tmp_path):
    first = RunFolder.create(tmp_path, CONFIG)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert RunFolder.create(tmp_path, dict(reversed(CONFIG.items()))) == first
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (CONFIG | {"steps": 11}, "steps is 10 there and 11 here"),
        (CONFIG | {"sde": {"name": "ve", "beta": (0.1, 20.0)}}, 'sde.name is "vp" there and "ve" here'),
        (CONFIG | {"new": None}, "new is absent there and null here"),
        ({"seed": 3}, "sde.beta is .* absent here"),
        (CONFIG | {"seed": True}, "seed is 3 there and true here"),
    ],
    ids=["number", "nested", "added", "removed", "kind"],
)
def test_another_configuration_is_refused(tmp_path, is_sentence, changed, named):
    RunFolder.create(tmp_path, CONFIG)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=named) as caught:
        RunFolder.create(tmp_path, changed)
    assert is_sentence(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_something_else_is_refused(tmp_path, is_sentence):
    (tmp_path / "thesis.tex").write_text("\\documentclass{book}")
    with pytest.raises(ValueError, match=r"'thesis\.tex'") as caught:
        RunFolder.create(tmp_path, CONFIG)
    assert is_sentence(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("config", [[1], {"a": object()}, {"a": {1, 2}}], ids=["list", "object", "set"])
def test_a_configuration_that_json_cannot_hold_is_refused(tmp_path, is_sentence, config):
    with pytest.raises(TypeError, match="config") as caught:
        RunFolder.create(tmp_path / "run", config)
    assert is_sentence(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_damaged_configuration_is_refused(tmp_path, is_sentence):
    run = RunFolder.create(tmp_path, CONFIG)
    run.config_file.write_bytes(b'{"seed": ')
    with pytest.raises(ValueError, match="damaged") as caught:
        RunFolder.create(tmp_path, CONFIG)
    assert is_sentence(caught.value)


def test_a_change_of_versions_is_recorded_once(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path, CONFIG)
    old = run.versions()
    monkeypatch.setattr(run_folder, "environment", lambda: {"python": "9.9"})
    with pytest.warns(UserWarning, match=r'goes on in another environment \(python was ".*" and is "9.9"\)'):
        RunFolder.create(tmp_path, CONFIG)
    RunFolder.create(tmp_path, CONFIG)
    assert run.versions() == [*old, {"python": "9.9"}]


CHANGES = [
    ({"packages": {"torch": "3.0"}}, 'torch was "2.0" and is "3.0"'),
    ({"threads": 2}, "threads was 4 and is 2"),
    ({"platform": "Other"}, 'platform was "This" and is "Other"'),
    ({"git": {"commit": "b"}}, None),
    ({"packages": {"torch": "2.0", "new": "1"}}, None),
]


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=lambda case: str(case)[:20])
def test_another_environment_is_a_warning_where_it_may_change_the_weights(tmp_path, monkeypatch, change, said):
    first = {"packages": {"torch": "2.0"}, "platform": "This", "python": "3", "threads": 4, "git": {"commit": "a"}}
    monkeypatch.setattr(run_folder, "environment", lambda: first)
    RunFolder.create(tmp_path, CONFIG)
    monkeypatch.setattr(run_folder, "environment", lambda: first | change)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        RunFolder.create(tmp_path, CONFIG)
    assert [said in str(one.message) for one in given] == ([] if said is None else [True])


def test_all_that_decides_numbers_is_noted():
    """Every dependency that computes, or reads pictures or weights; not those that show, lock, parse or draw."""
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=!~\[]", one)[0].strip() for one in declared["dependencies"]}
    silent = {"matplotlib", "filelock", "pyyaml", "jsonargparse", "tqdm", "rich", "lazy-loader", "jinja2"}
    assert names - silent <= {*run_folder._PACKAGES}
    assert {"packages", "platform", "python", "threads"} <= run_folder.environment().keys()


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


HAS_GIT = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def repository(tmp_path):
    """A repository of one commit, and its hash."""
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path, git(tmp_path, "rev-parse", "HEAD").strip()


@HAS_GIT
def test_the_commit_is_recorded(tmp_path, monkeypatch):
    assert git_commit(tmp_path) is None
    git(tmp_path, "init")
    assert git_commit(tmp_path) is None  # no commit yet


@HAS_GIT
def test_the_commit_is_read_however_git_keeps_it(repository, tmp_path_factory, monkeypatch):
    """A loose reference, a packed one, a detached head, a folder below, a work tree of its own."""
    folder, commit = repository
    (folder / "below").mkdir()
    assert git_commit(folder) == git_commit(folder / "below") == commit
    git(folder, "pack-refs", "--all")
    assert not list((folder / ".git/refs/heads").iterdir())
    assert git_commit(folder) == commit
    other = tmp_path_factory.mktemp("work") / "tree"
    git(folder, "worktree", "add", "-b", "side", str(other))
    (other / "b").write_text("2")
    git(other, "add", "b")
    git(other, "commit", "-m", "second")
    assert git_commit(other) == git(other, "rev-parse", "HEAD").strip() != commit
    git(folder, "checkout", "--detach", "HEAD")
    assert git_commit(folder) == commit
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", "")
    assert run_folder.environment()["git"] == {"commit": commit}


WAYS = {
    "filter": ('[filter "x"]\n\tclean = {evil}\n', {".gitattributes": "* filter=x"}, {}),
    "monitor": ("[core]\n\tfsmonitor = {evil}\n", {}, {}),
    "hooks": ("", {}, {"post-index-change", "post-checkout", "pre-auto-gc"}),
    "hooks elsewhere": ("[core]\n\thooksPath = {home}\n", {"post-index-change": "{evil}"}, {}),
    "attributes of the repository": ('[filter "x"]\n\tclean = {evil}\n', {".git/info/attributes": "* filter=x"}, {}),
}


@HAS_GIT
@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_a_repository_runs(repository, tmp_path_factory, monkeypatch, way):
    """Programs that git itself would run when it looks at the work tree; the canary shows that it does."""
    folder, commit = repository
    canary = tmp_path_factory.mktemp("canary") / "sang"
    evil = canary.parent / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    evil.chmod(0o755)
    config, files, hooks = WAYS[way]
    with open(folder / ".git/config", "a", encoding="utf-8") as file:
        file.write(config.format(evil=evil, home=folder))
    (folder / ".git/info").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_text(evil.read_text() if content == "{evil}" else content)
        (folder / name).chmod(0o755)
    for hook in hooks:
        shutil.copy(evil, folder / ".git/hooks" / hook)
    os.utime(folder / "a", (1, 1))
    monkeypatch.chdir(folder)
    assert run_folder.environment()["git"] == {"commit": commit}
    RunFolder.create(folder / "run", CONFIG)
    assert not canary.exists()
    subprocess.run(["git", "status"], cwd=folder, capture_output=True, timeout=20, check=False)
    assert canary.exists(), "this way runs nothing, and tests nothing"


@pytest.mark.parametrize(
    "files",
    [
        {"HEAD": "ref: refs/../../secret"},
        {"HEAD": "ref: refs/heads/main", "refs/heads/main": "password"},
        {"HEAD": "password"},
        {"HEAD": "ref: refs/heads/main", "packed-refs": "password refs/heads/main"},
        {},
    ],
    ids=str,
)
def test_what_is_no_commit_is_not_recorded(tmp_path, files):
    (tmp_path / ".git/refs/heads").mkdir(parents=True)
    (tmp_path / "secret").write_text("a" * 40)
    for name, content in files.items():
        (tmp_path / ".git" / name).write_text(content)
    assert git_commit(tmp_path) is None


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and pipes are of POSIX")
@pytest.mark.parametrize("name", ["lock", "metrics.jsonl"])
def test_a_link_in_a_run_is_refused_and_its_target_left_alone(run, tmp_path, is_sentence, name):
    victim = tmp_path / "victim"
    victim.write_text("")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(victim)
    with pytest.raises(ValueError, match="symbolic link") as caught:
        run(tmp_path / "run").go()
    assert is_sentence(caught.value)
    assert victim.read_text() == ""
    assert [path.name for path in (tmp_path / "run").iterdir() if path.name != "lock"] == [name] * (name != "lock")


def test_what_decides_nothing_may_change_in_the_configuration(tmp_path, is_sentence):
    """The settings of saving and reporting, and the number of steps; the file then says what was asked last."""
    config = {"seed": 3, "training": {"max_checkpoints": 3, "log_every": 5, "steps": 10, "learning_rate": 0.1}}
    run = RunFolder.create(tmp_path, config)
    changed = {"max_checkpoints": 1, "log_every": 9, "steps": 20}
    RunFolder.create(tmp_path, config | {"training": config["training"] | changed})
    assert run.config()["training"] == {**changed, "learning_rate": 0.1}
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"training.learning_rate is 0.1 there and 0.2 here") as caught:
        RunFolder.create(tmp_path, config | {"training": config["training"] | {"learning_rate": 0.2}})
    assert is_sentence(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_check_writes_nothing(tmp_path):
    RunFolder.check(tmp_path / "run", CONFIG)
    assert not (tmp_path / "run").exists()


def test_a_run_trains_in_it(run, tmp_path):
    folder = RunFolder.create(tmp_path / "run", CONFIG)
    run(folder).go()
    RunFolder.create(tmp_path / "run", CONFIG)
    assert [report["step"] for report in metrics_file.read(folder.metrics_file)] == list(range(1, 10))
    assert [path.name for path in folder.checkpoints.iterdir()] == ["step-000009"]


NUMBERS = st.floats() | st.integers(-(2**40), 2**40)


@given(records=st.lists(st.dictionaries(st.sampled_from("abc"), NUMBERS), max_size=5), cut=st.integers(1, 5))
def test_reports_are_read_as_written_and_a_cut_line_is_left_out(tmp_path_factory, records, cut):
    path = tmp_path_factory.mktemp("metrics") / "metrics.jsonl"
    for record in records:
        metrics_file.append(path, record)
    known = [{k: v if math.isfinite(v) else None for k, v in record.items()} for record in records]
    assert metrics_file.read(path) == known
    if records:
        os.truncate(path, max(path.stat().st_size - cut, 0))
        assert metrics_file.read(path) == known[: path.read_text().count("\n")]


def test_a_damaged_line_is_refused(tmp_path, is_sentence):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(ValueError, match="line 2") as caught:
        metrics_file.read(path)
    assert is_sentence(caught.value)


def test_settings_and_folders_need_no_torch():
    code = (
        "import sys\nfrom sde_diffusion.io import json_lines, lock, terminal\n"
        "from sde_diffusion.training import RunFolder, TrainSettings\nfrom sde_diffusion.training import errors, signals\n"
        "TrainSettings()\nassert 'torch' not in sys.modules"
    )
    root = str(Path(run_folder.__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True)
    assert done.returncode == 0, done.stderr
