"""Runs of earlier versions go on, and are read: their records do not name what networks and commands have got since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sde_diffusion.cli.main import main
from sde_diffusion.io.atomic import to_json
from sde_diffusion.networks.conditioning import Conditioning
from sde_diffusion.sharing.pretrained import digest, read_description
from sde_diffusion.training import latest
from sde_diffusion.training.checkpoints import manifest

WORDS = [
    "--data",
    "moons",
    "--network.width",
    "8",
    "--network.depth",
    "1",
    "--training.batch_size",
    "8",
    "--device",
    "cpu",
]
WORDS += [
    "--training.schedule",
    "constant",
    *(f"--watch.{name}_every=0" for name in ("held_out", "levels", "pictures")),
]


def trained(folder: Path, steps: int, *more: str) -> int:
    return main(["train", *WORDS, "--training.steps", str(steps), *more, "--output", str(folder)])


def as_before(folder: Path) -> None:
    """Take from a run's record, configuration and checkpoint what was not there before networks took a condition."""
    described = read_description(folder / "model.json")
    assert (described["network"].pop("context"), described["network"].pop("dropout")) == (0, 0.0)
    config = json.loads((folder / "config.json").read_bytes())
    del config["condition_dropout"]
    described["run"] = config
    (folder / "config.json").write_bytes(to_json(config))
    (folder / "model.json").write_bytes(to_json(described))
    newest = latest(folder / "checkpoints")
    assert newest is not None
    state = json.loads((newest / "state.json").read_bytes())
    state["fingerprint"]["extra"]["model"] = digest(described)
    (newest / "state.json").write_bytes(to_json(state))
    (newest / manifest.NAME).unlink()
    manifest.write(newest, manifest.step_of(newest))


@pytest.fixture
def earlier(tmp_path) -> Path:
    """A run of two steps."""
    assert trained(tmp_path / "run", 2) == 0
    as_before(tmp_path / "run")
    return tmp_path / "run"


def test_an_earlier_run_goes_on_to_the_weights_of_one_of_today(earlier, tmp_path):
    assert trained(tmp_path / "today", 2) == 0
    for folder in (earlier, tmp_path / "today"):
        assert trained(folder, 4) == 0
    one, other = (latest(folder / "checkpoints") for folder in (earlier, tmp_path / "today"))
    assert one.name == "step-000004"  # pyright: ignore
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()  # pyright: ignore
    assert main(["sample", str(earlier), "--count", "3", "--nfe", "3", "--output", str(tmp_path / "samples")]) == 0


def test_an_earlier_run_with_another_network_is_another_run(earlier, tmp_path, capsys):
    kept = shutil.copytree(earlier, tmp_path / "kept")
    assert trained(earlier, 4, "--network.dropout", "0.5") == 2
    assert "holds another run: network.dropout is absent there and 0.5 here" in capsys.readouterr().err
    for path in kept.rglob("*.*"):
        assert (earlier / path.relative_to(kept)).read_bytes() == path.read_bytes()


def test_a_network_without_a_condition_describes_itself_as_before_there_were_any():
    """What a run's fingerprint has of it: its public attributes."""
    assert "context" not in vars(Conditioning(8))
    assert Conditioning(8).context is None
