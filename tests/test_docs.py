"""The Python of the pages runs, and does what the pages say."""

from __future__ import annotations

import io
import json
import re
import shlex
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sde_diffusion.cli.main import main

DOCS = Path(__file__).resolve().parents[1] / "docs"
QUICK = 20
"""Steps of every training in a test; the pages have as many as give good samples."""


def blocks(page: str) -> list[str]:
    """The Python blocks of a page, in their order."""
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def quick(code: str) -> str:
    """The same code with short trainings."""
    code = re.sub(r"(\.fit\([^)]*?\bsteps=)(?:1000|500)\b", rf"\g<1>{QUICK}", code)
    return re.sub(r"(\.(?:posterior|corrected)\(.*)64, nfe=\d+", r"\g<1>32, nfe=4", code)


def run(page: str) -> dict:
    """Runs the page from top to bottom in one namespace, and returns that."""
    space: dict = {"__name__": __name__}
    for code in blocks(page):
        exec(compile(quick(code), page, "exec", dont_inherit=True), space)
    return space


def test_a_training_is_made_short_and_a_sampling_is_not():
    assert quick("model.fit(x, steps=1000, seed=1)") == f"model.fit(x, steps={QUICK}, seed=1)"
    assert quick("model.sample(4, steps=200)") == "model.sample(4, steps=200)"
    assert quick("model.posterior(y, 64, nfe=50)") == "model.posterior(y, 32, nfe=4)"
    assert quick("model.fit(x, steps=60, folder='a')") == "model.fit(x, steps=60, folder='a')"


@pytest.mark.slow
def test_first_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = run("first-steps.md")
    assert (tmp_path / "runs/moons/metrics.jsonl").exists()
    for name, shape in {"upper": (32, 2), "each": (4, 2), "codes": (4, 2), "y": (16, 2), "both": (100, 2)}.items():
        assert space[name].shape == shape, name
        assert space[name].isfinite().all(), name
    assert (space["low"] <= space["nats"]).all()
    assert (space["nats"] <= space["high"]).all()


@pytest.mark.slow
def test_your_own_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = run("your-own-data.md")
    assert len(space["x"]) + len(space["unseen"]) == 200
    assert space["warm"].shape == (64, 2)
    assert abs(space["warm"][:, 0].mean() - 30) < 5  # the units of the table
    assert space["warm"][:, 1].std() > 100
    assert space["nats"].isfinite().all()
    assert (space["heavy"].shape, space["each"].shape, space["any_car"].shape) == ((32, 2), (4, 2), (32, 2))
    assert space["pictures"].shape == (4, 1, 16, 16)
    assert space["points"].shape == (16, 2)
    assert space["sorted_model"].class_names == ("left", "right")
    assert space["gentoos"].shape == (4, 2)
    assert space["walker"].sample(3).isfinite().all()


@pytest.mark.slow
def test_bridges():
    space = run("bridges.md")
    assert space["there"].isfinite().all()
    assert space["back"].shape == space["near"].shape
    assert len(space["pairs"].far_rows.unique()) == 256
    assert space["reflow"](space["near"][:8], space["far"][:8], None).near.shape == (8, 2)


def commands(page: str) -> list[str]:
    """The commands of a page, in their order."""
    shown = re.findall(r"^```console\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return re.findall(r"^\$ sde-diffusion (.*)$", "".join(shown), re.MULTILINE)


def write_streams(waves) -> None:
    """Shards of arrays with a number and a caption, and a saved data set of pictures."""
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    Path("packs").mkdir()
    for part in range(2):
        with tarfile.open(f"packs/part-{part}.tar", "w") as archive:
            for i in range(part, 240, 2):
                array = io.BytesIO()
                np.save(array, waves[i % 40])
                about = json.dumps({"size": {"weight": i / 8}}).encode()
                for kind, data in (
                    ("npy", array.getvalue()),
                    ("json", about),
                    ("txt", f"a {'warm' * (i % 4)} day".encode()),
                ):
                    member = tarfile.TarInfo(f"{i}.{kind}")
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    features = datasets.Features({"image": datasets.Image(), "kind": datasets.ClassLabel(names=["left", "right"])})
    rows = [{"image": Image.open(f"pictures/{i % 8}.png").resize((16, 16)), "kind": i % 2} for i in range(40)]
    datasets.disable_progress_bars()
    datasets.Dataset.from_list(rows, features=features).save_to_disk("saved")


@pytest.mark.slow
def test_the_commands_of_your_own_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draws = np.random.default_rng(0)
    kinds = np.array(["adelie", "gentoo"] * 100)
    rows = zip(draws.normal(4000, 500, 200), draws.normal(40, 3, 200), kinds, strict=True)
    lines = [f"{mass:.1f},{length:.2f},{kind}" for mass, length, kind in rows]
    Path("penguins.csv").write_text("\n".join(["mass,length,species", *lines]))
    waves = draws.normal(size=(40, 1, 64))
    np.save("waves.npy", waves)
    np.savez("cells.npz", x=waves[..., :16], kind=kinds[:40], size=draws.uniform(1, 4, 40))
    rows = zip(
        *draws.normal([[30.0], [15.0], [100.0], [2900.0]], [[5.0], [2.0], [30.0], [500.0]], (4, 200)),
        kinds,
        strict=True,
    )
    lines = [
        ",".join(["usa" if cell == "adelie" else "japan" if isinstance(cell, str) else f"{cell:.2f}" for cell in row])
        for row in rows
    ]
    Path("cars.csv").write_text("\n".join(["mpg,acceleration,horsepower,weight,origin", *lines]))
    Path("sounds").mkdir()
    for i, wave in enumerate(waves[:8]):
        np.save(f"sounds/{i}.npy", wave)
    Path("pictures").mkdir()
    for i in range(8):
        Image.fromarray(draws.integers(0, 256, (48, 64), dtype=np.uint8)).save(f"pictures/{i}.png")
    Path("shards").mkdir()
    with tarfile.open("shards/one.tar", "w") as archive:
        for i in range(24):
            archive.add(f"pictures/{i % 8}.png", f"{i}.png")
    lines = [f"{i % 7},{i % 5},{kind},{'fm'[i // 2 % 2]}" for i, kind in enumerate(kinds)]
    Path("birds.csv").write_text("\n".join(["mass,length,species,sex", *lines]))
    write_streams(waves)
    found = commands("your-own-data.md")
    assert len(found) == 25
    for command in found:
        short = " --watch.pictures_every 0 --watch.levels_every 0 --training.batch_size 4" * ("train" in command)
        assert main(shlex.split(command.replace("--training.steps 2000", "--training.steps 2") + short)) == 0, command
    summary = json.loads(Path("runs/penguins/data.json").read_text())
    assert json.loads(Path("runs/cars/data.json").read_text())["conditions"].keys() == {"horsepower", "weight"}
    assert (summary["columns"], summary["classes"]) == (["mass", "length"], {"adelie": 100, "gentoo": 100})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*all the weight:UserWarning", "ignore:with 4 calls:UserWarning")
def test_posteriors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = run("posteriors.md")
    assert space["found"].x.shape == (32, 1, 8, 8)
    assert space["found"].x.isfinite().all()
    assert space["alone"].shape == (4, 1, 8, 8)
    assert space["strong"].ess.shape == (1,)


@pytest.mark.slow
def test_guidance(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = run("guidance.md")
    assert space["sevens"].shape == space["projected"].shape == space["no_ones"].shape == (16, 1, 8, 8)
    found = commands("guidance.md")
    assert len(found) == 6
    for command in found:
        short = re.sub("--training.steps [0-9]+", "--training.steps 2", command) + " --device cpu"
        short += " --watch.pictures_every 0 --watch.levels_every 0" if "train" in command else " --count 4 --nfe 4"
        assert main(shlex.split(short)) == 0, command


@pytest.fixture(scope="module")
def skeletons() -> dict:
    return run("how-to-add.md")


def test_the_process_and_the_method_of_the_page_pass_their_checks(skeletons):
    from sde_diffusion.testing import check_method, check_sde

    assert check_sde(skeletons["Ornstein"]()).ok
    assert check_method(skeletons["Midpoint"]()).ok


def test_the_sampler_of_the_page_reaches_an_exact_distribution(skeletons):
    from sde_diffusion.exact import ExactDenoiser, Gaussian
    from sde_diffusion.sampling import sample

    law = Gaussian(torch.tensor([0.5], dtype=torch.float64), torch.eye(1, dtype=torch.float64))
    sde = skeletons["Ornstein"]()
    reversal, solver = skeletons["midpoint_flow"].build(sde, ExactDenoiser(law), nfe=61)
    x = sample(reversal, solver, (4000, 1), dtype=torch.float64)
    assert abs(x.mean() - 0.5) < 0.08  # five standard errors
    assert abs(x.std() - 1) < 0.06


def test_the_parameterization_of_the_page_inverts_its_target(skeletons):
    from sde_diffusion.kernel import Kernel

    residual, kernel = skeletons["Residual"](), Kernel(0.6, 0.9)
    x0, noise = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0))
    raw = residual.target(x0, noise, kernel)
    torch.testing.assert_close(residual.to_denoised(raw, kernel.perturb(x0, noise), kernel), x0)


def test_the_objective_of_the_page_is_zero_for_the_right_answer(skeletons):
    from sde_diffusion.sde import VP

    x0 = torch.ones(8, 2)
    losses = skeletons["Absolute"]()(lambda x, kernel: torch.ones_like(x), VP(), x0, torch.Generator().manual_seed(0))
    assert losses.shape == (8,)
    assert losses.abs().max() == 0
    off = skeletons["Absolute"]()(lambda x, kernel: torch.zeros_like(x), VP(), x0, torch.Generator().manual_seed(0))
    assert (off == 1).all()


def test_the_network_of_the_page_begins_as_zero_and_takes_labels(skeletons):
    network = skeletons["Perceptron"].fitting((3,), classes=2, **skeletons["Perceptron"].presets["wide"])
    x, label = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, -1])
    assert (network(x, torch.zeros(5), label) == 0).all()
    assert network.arguments == {"features": 3, "width": 512, "classes": 2}


def test_the_features_of_the_page_tell_smooth_from_rough_images(skeletons):
    smooth = torch.ones(4, 1, 8, 8)
    rough = torch.where((torch.arange(8)[:, None] + torch.arange(8)) % 2 == 0, 1.0, -1.0).expand(4, 1, 8, 8)
    features = skeletons["spectrum"](bins=8)
    assert (features(smooth).argmax(1) == 0).all()
    assert (features(rough).argmax(1) == 7).all()


def test_the_callback_of_the_page_adds_its_number(skeletons):
    from types import SimpleNamespace

    model = torch.nn.Linear(2, 1, bias=False).requires_grad_(False)  # callbacks see a frozen model
    torch.nn.init.constant_(model.weight, 3.0)
    context = SimpleNamespace(model=model, numbers={})
    skeletons["callbacks"][0].on_report(context)
    assert context.numbers["weight_norm"] == pytest.approx(18**0.5)


def test_the_glossary_has_every_sampler():
    from sde_diffusion.sampling import named

    table = (DOCS / "glossary.md").read_text(encoding="utf-8").split("## Samplers")[1].split("### Their names")[0]
    listed = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    assert sorted(listed) == sorted(named.names())


def test_the_names_in_other_libraries_mean_what_the_glossary_says():
    """Those without a note: a note says what differs, such as the grid."""
    from sde_diffusion.sampling import named

    text = (DOCS / "glossary.md").read_text(encoding="utf-8").split("### Their names")[1].split("\n\n1. ")[0]
    understood = 0
    for row in re.findall(r"^\| `\w+` \|.*$", text, re.MULTILINE):
        own, *libraries, _ = [cell.strip() for cell in row.strip("|").split("|")]  # azula's names need arguments
        for cell in libraries:
            for name in re.split(r"[,;] (?!Karras|karras|eta|sigma)", cell):
                if re.fullmatch(r"`?[\w+ ]+`?", name) and "get_sigmas" not in name:
                    assert named.parse(name.strip("`")).label.split("/")[0] == own.strip("`"), name
                    understood += 1
    assert understood > 30


@pytest.mark.parametrize("page", sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")))
def test_every_link_of_a_page_leads_to_a_file(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    missing = [target for target in targets if not (DOCS / page).parent.joinpath(target).exists()]
    assert not missing


def test_every_test_that_a_page_names_is_there():
    root = DOCS.parent
    pages = [*DOCS.rglob("*.md"), root / "README.md", root / "CONTRIBUTING.md", root / "benchmarks/README.md"]
    named = {found for page in pages for found in re.findall(r"\btests/[\w/]+\.py", page.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert not [name for name in sorted(named) if not (root / name).exists()]


def test_the_layers_of_the_contributing_guide_are_those_of_the_imports_test():
    from tests.test_imports import FLOORS, ROOT

    text = (DOCS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", text, re.MULTILINE)
    written = {name: int(layer) for layer, row in rows for name in re.findall(r"`(\w+)`", row)}
    names = {entry.removeprefix("sde_diffusion."): layer for entry, layer in FLOORS.items() if entry != "sde_diffusion"}
    there = [ROOT / "sde_diffusion", ROOT]
    built = {n: layer for n, layer in names.items() if any((p / n).is_dir() or (p / f"{n}.py").exists() for p in there)}
    assert written == built
