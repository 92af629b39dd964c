"""Data of one's own from the command line: a path is enough, and measuring commands know the data again."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.io import wavfile

from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import data_of, load_model
from sde_diffusion.cli.specs import parse
from sde_diffusion.data_paths import source_at
from sde_diffusion.resolver import build

QUICK = ["--training.steps", "2", "--training.batch_size", "8", "--network.width", "8", "--device", "cpu"]
QUICK += ["--watch.held_out_every", "0", "--watch.levels_every", "0", "--watch.pictures_every", "0"]
DRAWS = np.random.default_rng(0)
SPECIES = [("adelie", "gentoo")[i % 2] for i in range(60)]
TABLE = DRAWS.normal([30, 4000], [1, 500], (60, 2))


def write_table(path: Path, rows: int = 60) -> None:
    lines = [f"{a!r},{b!r},{kind}" for (a, b), kind in zip(TABLE[:rows].tolist(), SPECIES[:rows], strict=True)]
    path.write_text("\n".join(["mass,length,species", *lines]))


def train(*words: str) -> dict:
    """The configuration of a run in `run`."""
    assert main(["train", *words, *QUICK, "--output", "run"]) == 0
    return json.loads(Path("run/config.json").read_text())


@pytest.fixture(scope="module")
def penguins(tmp_path_factory) -> Path:
    """A folder with a table and a class-conditional run on it."""
    folder = tmp_path_factory.mktemp("penguins")
    write_table(folder / "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("--data", "t.csv", "--data.label", "species", "--data.held_out", "0.4")
    return folder


@pytest.fixture
def moved(penguins, tmp_path, monkeypatch) -> Path:
    """A copy of that folder, whose old place is forgotten, from within another one."""
    shutil.copytree(penguins, tmp_path / "copy")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "copy"


def test_a_table_by_its_path_has_an_mlp_that_takes_the_labels(penguins, moved):
    config = json.loads((penguins / "run/config.json").read_text())
    assert config["data"]["path"] == str(penguins / "t.csv")
    assert (config["network"]["name"], config["network"]["classes"]) == ("mlp", 2)
    summary = json.loads((penguins / "run/data.json").read_text())
    assert summary["columns"] == ["mass", "length"]
    assert summary["classes"] == {"adelie": 30, "gentoo": 30}
    assert sum(summary["samples"].values()) == 60
    assert summary["range"] == [[float(column.min()), float(column.max())] for column in TABLE.astype(np.float32).T]
    assert main(["sample", str(moved / "run"), "--label", "gentoo", "--count", "2", "--steps", "2"]) == 0
    assert data_of(load_model(moved / "run", torch.device("cpu"))).column_names == ("mass", "length")


def test_the_data_are_found_at_another_place_and_others_are_refused(moved):
    model = load_model(moved / "run", torch.device("cpu"))
    before = data_of(model).tensors("held_out")[0]
    shutil.move(moved / "t.csv", "u.csv")
    assert torch.equal(data_of(model, "u.csv").tensors("held_out")[0], before)
    write_table(Path("v.csv"), rows=50)
    for asked in ("v.csv", "table_file(path=u.csv, columns=[mass, length])"):
        with pytest.raises(ValueError, match="are not those that this run was trained on"):
            data_of(model, asked)
    np.save("x.npy", TABLE[:, :1])
    with pytest.raises(ValueError, match=r"trained on samples of shape \(2,\), these have \(1,\)"):
        data_of(model, "x.npy")


def test_data_that_changed_at_their_place_are_a_warning(moved):
    model = load_model(moved / "run", torch.device("cpu"))
    write_table(moved / "t.csv", rows=50)
    model.run["data"]["path"] = str(moved / "t.csv")
    with pytest.warns(UserWarning, match="the run's data have changed since it was trained"):
        data_of(model)


def test_a_run_goes_on_with_its_data_at_another_place(moved, refused):
    again = ["train", *QUICK, "--output", str(moved / "run")]
    more = ["--data.label", "species", "--data.held_out", "0.4"]
    shutil.move(moved / "t.csv", "u.csv")
    assert main([*again, "--data", "u.csv", *more, "--training.steps", "3"]) == 0
    config = (moved / "run/config.json").read_bytes()
    assert json.loads(config)["data"]["path"] == str(Path("u.csv").absolute())
    write_table(moved / "v.csv", rows=50)
    assert "another" in refused(*again, "--data", str(moved / "v.csv"), *more, "--training.steps", "4")
    assert (moved / "run/config.json").read_bytes() == config


def test_an_argument_before_its_name_is_refused(refused):
    assert "--data.label stands before --data" in refused("train", "--data.label", "species", "--data", "t.csv")


def test_signals_in_an_array_have_a_unet_in_one_dimension(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("s.npy", DRAWS.normal(size=(40, 1, 16)))
    config = train("--data", "s.npy")
    assert (config["data"]["name"], config["network"]["name"]) == ("array_file", "unet")


def test_a_folder_of_sounds_and_a_folder_whose_name_is_a_number(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for kind in ("hum", "hiss"):
        Path("2024", kind).mkdir(parents=True)
        for i in range(4):
            wavfile.write(f"2024/{kind}/{i}.wav", 8000, DRAWS.normal(size=16).astype(np.float32))
    Path("2024/readme.txt").write_text("x")
    config = train("--data", "2024")
    assert config["data"] == {"name": "signal_folder", "root": str(tmp_path / "2024")}
    said = capsys.readouterr().err
    assert "samples of shape 1 x 16" in said
    assert "2 classes: hiss (4), hum (4)" in said
    assert "1 other files passed over: 1 .txt" in said
    assert "network: unet, class-conditional" in said


def test_the_digits_have_a_network_of_images_and_arguments_beside_auto_win(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = train("--data.held_out", "24")["network"]
    assert (found["name"], found["classes"], found["width"]) == ("unet", 10, 8)
    np.save("s.npy", DRAWS.normal(size=(40, 1, 8, 8)))
    shutil.rmtree("run")
    assert train("--data", "s.npy", "--network.blocks", "2")["network"]["blocks"] == 2


def test_what_lies_at_a_path_decides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_at("a/x.NPZ") == {"name": "array_file", "path": "a/x.NPZ"}
    assert source_at("x.tsv") == {"name": "table_file", "path": "x.tsv"}
    assert source_at("digits") is source_at("") is source_at("table_file(path=x.csv)") is None
    for folder, file in (
        ("digits", "x.png"),
        ("pictures/a", "x.JPG"),
        ("both", "x.png"),
        ("both", "y.wav"),
        ("none", "z"),
    ):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, file).write_bytes(b"x")
    assert source_at("digits") is None  # a data set's name is the data set
    assert source_at("./digits") == {"name": "image_folder", "root": "./digits"}
    assert source_at("pictures") == {"name": "image_folder", "root": "pictures"}
    with pytest.raises(ValueError, match=r"1 pictures and 1 signals; write --data image_folder --data\.root both"):
        source_at("both")
    with pytest.raises(ValueError, match="'none' holds no pictures"):
        source_at("none")


def test_texts_that_look_like_numbers_stay_texts():
    source = build("data set", parse("table_file(path=1e5, label=2024, columns=[2025, mass])", "data"))
    assert (source.path, source.label, tuple(source.columns)) == ("1e5", "2024", ("2025", "mass"))
    assert RunConfig(data="array_file(path=007)").as_dict()["data"]["path"].endswith("/007")


def test_shards_by_their_path_have_a_unet_that_takes_the_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tarfile.open("one.tar", "w") as archive:
        for i in range(16):
            whole = io.BytesIO()
            Image.fromarray(DRAWS.integers(0, 256, (8, 8), dtype=np.uint8)).save(whole, "PNG")
            for kind, data in (("png", whole.getvalue()), ("cls", SPECIES[i].encode())):
                about = tarfile.TarInfo(f"{i:02d}.{kind}")
                about.size = len(data)
                archive.addfile(about, io.BytesIO(data))
    config = train("--data", "*.tar", "--network.multipliers", "[1, 1]", "--compute.workers", "1")
    assert (config["data"]["name"], config["data"]["path"]) == ("image_shards", str(tmp_path / "*.tar"))
    assert (config["network"]["name"], config["network"]["classes"]) == ("unet", 2)
    assert main(["sample", "run", "--label", "gentoo", "--count", "2", "--steps", "2"]) == 0
    assert json.loads(Path("run/data.json").read_text())["classes"] == {"adelie": 8, "gentoo": 8}


def write_shards(count: int = 60) -> None:
    """Three shards of arrays with a class, a number and a caption."""
    for part in range(3):
        with tarfile.open(f"part-{part}.tar", "w") as archive:
            for i in range(part, count, 3):
                array = io.BytesIO()
                np.save(array, TABLE[i])
                parts = {"npy": array.getvalue(), "cls": SPECIES[i].encode(), "txt": f"bird {i % 4}".encode()}
                for kind, data in (parts | {"json": json.dumps({"year": 2007 + i}).encode()}).items():
                    about = tarfile.TarInfo(f"{i:02d}.{kind}")
                    about.size = len(data)
                    archive.addfile(about, io.BytesIO(data))


STREAM = ["--data", "part-{0..2}.tar", "--data.condition", "[json:year, txt]", "--data.caption_size", "4"]
STREAM += ["--data.held_out", "0.4"]


def test_a_stream_of_shards_is_trained_and_known_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_shards()
    config = train(*STREAM)
    assert (config["data"]["name"], config["data"]["path"]) == ("shard_stream", str(tmp_path / "part-{0..2}.tar"))
    assert (config["network"]["name"], config["network"]["classes"], config["network"]["context"]) == ("mlp", 2, 6)
    summary = json.loads(Path("run/data.json").read_text())
    assert sum(summary["samples"].values()) == 60
    assert summary["classes"] == {"adelie": 30, "gentoo": 30}
    said = capsys.readouterr().err
    assert "read: 3 shards" in said
    assert "a stream: read in its order, shuffled in blocks of 1,024; ranges, moments and evaluation are of" in said
    model = load_model(tmp_path / "run", torch.device("cpu"))
    source = data_of(model)
    assert torch.equal(model.standardization.shift, source.tensors()[0].double().mean(0))


@pytest.mark.slow
def test_a_stream_of_shards_is_gone_on_with_sampled_and_evaluated(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    write_shards()
    train(*STREAM)
    assert main(["train", *STREAM, *QUICK, "--training.steps", "3", "--compute.workers", "1", "--output", "run"]) == 0
    given = ["--condition", "{year: 2020, txt: a small bird}"]
    assert main(["sample", "run", "--label", "gentoo", *given, "--count", "2", "--steps", "2"]) == 0
    assert main(["evaluate", "run", "--steps", "2", "--count", "12"]) == 0
    assert "lacks 'txt'; it has a value for each of year, txt" in refused(
        "sample", "run", "--condition", "{year: 2020}", "--count", "2"
    )
    Path("part-2.tar").unlink()
    assert "names 3 shards, and" in refused("evaluate", "run", "--steps", "2")
    write_shards(57)
    with pytest.warns(UserWarning, match="the run's data have changed since it was trained"):
        data_of(load_model(tmp_path / "run", torch.device("cpu")))
    assert "another" in refused("train", *STREAM, *QUICK, "--training.steps", "4", "--output", "run")


def several_labels(tmp_path, monkeypatch) -> dict:
    """A run on a table with two labels; its configuration."""
    monkeypatch.chdir(tmp_path)
    lines = [
        f"{a!r},{b!r},{kind},{'fm'[i // 2 % 2]}" for i, ((a, b), kind) in enumerate(zip(TABLE, SPECIES, strict=True))
    ]
    Path("t.csv").write_text("\n".join(["mass,length,species,sex", *lines]).replace("np.float64(", "").replace(")", ""))
    return train("--data", "t.csv", "--data.label", "species,sex", "--data.held_out", "0.4")


def test_several_labels_of_a_table_are_classes_of_their_own(tmp_path, monkeypatch, capsys):
    config = several_labels(tmp_path, monkeypatch)
    assert (config["network"]["context"], config["network"].get("classes")) == (5, None)
    said = capsys.readouterr().err
    assert "conditions species, sex" in said
    assert "species: 30 adelie, 30 gentoo" in said
    assert main(["sample", "run", "--condition", "{species: gentoo, sex: m}", "--count", "3", "--steps", "2"]) == 0
    assert main(["sample", "run", "--condition", "{sex: m}", "--count", "3", "--steps", "2", "--output", "alone"]) == 0
    assert main(["sample", "run", "--condition", "t.csv", "--steps", "2", "--output", "rows"]) == 0
    model = load_model(tmp_path / "run", torch.device("cpu"))
    rows = load_file("rows/samples.safetensors")["condition"]
    assert torch.equal(
        rows, model.condition_columns.rows(60, {"species": SPECIES, "sex": ["fm"[i // 2 % 2] for i in range(60)]})
    )
    assert load_file("alone/samples.safetensors")["condition"].tolist() == [[0, 0, 0, 1]] * 3


@pytest.mark.slow
def test_several_labels_are_guided_evaluated_and_scored(tmp_path, monkeypatch, refused):
    several_labels(tmp_path, monkeypatch)
    guided = ["--guidance", "cfg(weight=2)", "--condition", "{species: gentoo, sex: m}", "--output", "guided"]
    assert main(["sample", "run", *guided, "--count", "2", "--steps", "2"]) == 0
    assert main(["evaluate", "run", "--steps", "2", "--count", "12"]) == 0
    assert main(["likelihood", "run", "--count", "2", "--tol", "0.5"]) == 0
    assert "no class is called 'emu'; known: adelie, gentoo" in refused(
        "sample", "run", "--condition", "{species: emu}"
    )
    assert "write --condition '{sex: ..., species: ...}'" in refused("sample", "run", "--label", "m")
