"""What an exported folder does not hold, the names of its options, and damaged files beside the run."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from sde_diffusion.cli.commands.export import without_paths
from sde_diffusion.cli.main import main

DRAWN = ["--count", "3", "--chunk", "3", "--steps", "3", "--device", "cpu"]


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A shared folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("export") / "shared"
    asked = ["--name", "My <b>digits</b>", "--license", "mit", "--description", "See <script>alert(1)</script> here."]
    assert main(["export", str(trained), str(folder), *asked]) == 0
    return folder


def test_the_card_holds_no_html_and_the_options_have_the_names_of_the_hub(exported):
    text = (exported / "README.md").read_text()
    assert "# My &lt;b&gt;digits&lt;/b&gt;" in text
    assert "&lt;script>alert(1)&lt;/script> here." in text
    assert 'license: "mit"' in text
    assert "<script" not in text


def test_a_folder_that_exists_is_named(exported, refused, trained):
    sentence = refused("export", str(trained), str(exported))
    assert f"{exported} exists and is not empty" in sentence
    assert ".aside-" not in sentence


@pytest.mark.parametrize("text", ["{}", '{"trials": [{}]}', '{"trials": [{"scores": [{}]}]}', "[" * 100_000, "[]"])
@pytest.mark.filterwarnings("default")
def test_a_damaged_comparison_is_left_out_with_a_warning(text, copied, tmp_path, capsys):
    (copied / "compare").mkdir()
    (copied / "compare/comparison.json").write_text(text)
    assert main(["export", str(copied), str(tmp_path / "out")]) == 0
    assert "comparison.json" in (error := capsys.readouterr().err)
    assert error.count("\n") == 1
    assert "| metric |" not in (tmp_path / "out/README.md").read_text()


def test_paths_of_this_machine_are_not_shared():
    run = {"data": {"name": "image_folder", "root": "/home/ada/cells", "side": 8}, "more": ["~/x/y", "pics/a", 3]}
    assert without_paths(run) == {
        "data": {"name": "image_folder", "root": "cells", "side": 8},
        "more": ["y", "pics/a", 3],
    }


KINDS = {"float16": 1e-2, "bfloat16": 1e-1, "float64": 1e-5}


@pytest.fixture
def stored_as(exported, tmp_path):
    """The shared folder with its weights in another dtype."""

    def store(dtype: torch.dtype):
        folder = tmp_path / "other"
        folder.mkdir()
        for name in ("config.json", "README.md"):
            (folder / name).write_bytes((exported / name).read_bytes())
        weights = load_file(exported / "model.safetensors")
        save_file({name: value.to(dtype) for name, value in weights.items()}, folder / "model.safetensors")
        return folder

    return store


@pytest.mark.parametrize("name", KINDS)
def test_weights_of_another_precision_give_the_samples_of_float32(name, stored_as, exported, tmp_path):
    x = [load(folder, tmp_path / f"out{i}") for i, folder in enumerate((exported, stored_as(getattr(torch, name))))]
    assert x[1].dtype == torch.float32
    assert float((x[0] - x[1]).abs().max()) < KINDS[name]


def load(folder, output):
    assert main(["sample", str(folder), *DRAWN, "--output", str(output)]) == 0
    return load_file(output / "samples.safetensors")["x"]


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_weights_that_are_no_real_numbers_are_refused(dtype, stored_as, refused):
    assert "weights are floating-point numbers" in refused("sample", str(stored_as(dtype)))


def test_a_deep_file_of_a_tuned_solver_is_one_sentence(trained, refused, tmp_path):
    (tmp_path / "t.json").write_text("[" * 100_000)
    assert "t.json" in refused("sample", str(trained), "--sampler", str(tmp_path / "t.json"))


def test_the_exported_configuration_is_plain(exported):
    assert json.loads((exported / "config.json").read_text())["run"]["network"] == {
        "name": "mlp",
        "width": 16,
        "depth": 1,
    }
