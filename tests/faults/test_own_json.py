"""JSON that we wrote ourselves, and that somebody changed since: every reader is bounded, and says one sentence or goes on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from sde_diffusion.callbacks.levels import Levels
from sde_diffusion.cli.commands import demo
from sde_diffusion.cli.folders import claim_output_folder
from sde_diffusion.io import json_lines, plain
from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.sharing.pretrained import is_pretrained
from sde_diffusion.training import CheckpointError, RunFolder
from sde_diffusion.training.checkpoints import manifest
from sde_diffusion.training.checkpoints.tensors import read_object

DEEP = b"[" * 100_000 + b"]" * 100_000
WRONG = {
    "deep": DEEP,
    "deep within": b'{"a": ' + b'{"a": ' * 99 + b"1" + b"}" * 100,
    "endless digits": b'{"a": ' + b"9" * 5000 + b"}",
    "no JSON": b"{",
    "no text": b'{"a": "\xff"}',
    "empty": b"",
    "a list": b"[1]",
}


def versions(folder: Path) -> object:
    return RunFolder(folder).versions()


def levels(folder: Path) -> object:
    return Levels._earlier(SimpleNamespace(head={}), folder / "loss_by_level.json", 9)  # pyright: ignore


READERS = {
    "config.json": (lambda folder: RunFolder(folder).config(), "restore it from a backup"),
    "versions.json": (versions, "restore it from a backup"),
    "metrics.jsonl": (lambda folder: json_lines.read(folder / "metrics.jsonl"), "repair or remove it"),
    "made.json": (lambda folder: claim_output_folder(folder, "x", {}), "give another --output"),
    "state.json": (lambda folder: read_object(folder / "state.json"), "foreign"),
    "manifest.json": (lambda folder: manifest.verify(folder, set()), "no list of a checkpoint's files"),
    "tuned.json": (lambda folder: Tuned.load(folder / "tuned.json"), "make it again"),
    "model.json": (lambda folder: plain.read_plain(folder / "model.json"), "take an undamaged copy"),
    "loss_by_level.json": (levels, []),
    "results.json": (lambda folder: demo._done(folder, demo.Settings()), False),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", READERS)
def test_a_reader_says_one_sentence_or_goes_on(tmp_path, is_sentence, name, kind):
    read, wanted = READERS[name]
    (tmp_path / "report.html").touch()
    (tmp_path / name).write_bytes(WRONG[kind] + (b"\n" if name.endswith("l") else b""))
    if name == "versions.json" and kind == "a list":
        assert read(tmp_path) == [1]
    elif isinstance(wanted, str):
        with pytest.raises((ValueError, CheckpointError), match=wanted) as caught:
            read(tmp_path)
        assert is_sentence(caught.value)
        assert str(tmp_path) in str(caught.value)
    else:
        assert read(tmp_path) == wanted


def test_a_folder_nothing_or_a_long_file_in_the_place_of_a_file(tmp_path):
    (tmp_path / "long.json").write_bytes(b'"' + b"x" * plain.LONGEST + b'"')
    with pytest.raises(ValueError, match=f"no file of at most {plain.LONGEST} bytes"):
        plain.read_plain(tmp_path / "long.json")
    with pytest.raises(ValueError, match="it is no file"):
        plain.read_json(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"x\.json"):
        plain.read_json(tmp_path / "x.json")
    assert not is_pretrained(tmp_path)


def test_the_bounds_are_those_that_are_said():
    deepest = plain.DEEPEST_RECORD
    assert plain.parse_json(b"[" * deepest + b"]" * deepest)
    with pytest.raises(ValueError, match=f"deeper than {deepest}"):
        plain.parse_json(b"[" * (deepest + 2) + b"]" * (deepest + 2))
    assert plain.parse_json(b"123", longest=3) == 123
    with pytest.raises(ValueError, match="longer than 3 bytes"):
        plain.parse_json(b"1234", longest=3)


def test_what_is_read_back_is_what_json_makes_of_it():
    value = {"a": (1, 2), 3: Path("b")}
    assert (
        plain.as_read_back(value, default=str) == json.loads(json.dumps(value, default=str)) == {"a": [1, 2], "3": "b"}
    )
