"""What people type who know the field and not this program, and what they are answered.

A row is what is typed, on the command line or in Python, and what the answer must hold: a part of a sentence, or WORKS where
the thing should simply work. No answer may hold an internal error of Python, torch or the parser. `advises` says that the
answer says what to do instead; at least 55 of the 67 must.
"""

from __future__ import annotations

import re
import shlex
import warnings
from dataclasses import dataclass

import pytest

from sde_diffusion.cli.main import main

WORKS = "(works)"

INTERNAL = re.compile(
    r"has no attribute|object of type|must be Number|not supported between|Union subtypes|Expected a <class|Traceback|"
    r"indices for tensor|index \d+ is out of bounds|not dict|positional argument|PathLike|Python scalars"
)
"""Words of errors that were raised in the middle of a computation, or by the parser."""


@dataclass(frozen=True)
class Row:
    """A mistake: its number, what is typed, and what the answer must hold (any of several)."""

    number: int
    typed: str
    answer: str | tuple[str, ...]
    advises: bool = True

    @property
    def answers(self) -> tuple[str, ...]:
        return self.answer if isinstance(self.answer, tuple) else (self.answer,)


TYPED = [
    Row(1, "trian", "did you mean 'train'?"),
    Row(2, "train --training.lr 1e-3", "did you mean 'training.learning_rate'?"),
    Row(2, "train --config lr.yaml", "did you mean 'training.learning_rate'?"),
    Row(3, "train --lr 1e-3", "did you mean 'training.learning_rate'?"),
    Row(3, "train --epochs 10", "did you mean 'training.steps'?"),
    Row(3, "sample RUN --n 4", "did you mean 'count'?"),
    Row(3, "sample RUN --guidance 2", "write cfg(weight=2)"),
    Row(4, "sample RUN --num-samples 4", "did you mean 'count'?"),
    Row(5, "train --batch-size 32", "did you mean 'training.batch_size'?"),
    Row(5, "sample RUN --batch-size 32", "did you mean 'chunk'?"),
    Row(6, "train --training.batch_size abc", "--training.batch_size takes a whole number"),
    Row(6, "sample RUN --count 1e3", "--count takes a whole number"),
    Row(6, "sample RUN --tol x", "--tol takes a number"),
    Row(7, "train --training.steps -5", "steps is at least 1, got -5"),
    Row(8, "train --network resnet", "did you mean 'unet'?"),
    Row(9, "train --sde vpsde", "did you mean 'vp'?"),
    Row(10, "train --device gpu", "did you mean 'cuda'?"),
    Row(11, "train --device cuda", "take --device cpu, or auto"),
    Row(11, "train --device cuda:1", "take --device cpu, or auto"),
    Row(11, "train --device mps", "take --device cpu, or auto"),
    Row(12, "train --config nofile.yaml", "File does not exist", advises=False),
    Row(13, "train --data cifar10", "needs 'root'; write cifar10(root=...)"),
    Row(13, "train --data mnist", "needs 'root'; write mnist(root=...)"),
    Row(14, "train --data 'cifar10(root=data)'", "cannot be read from 'data'"),
    Row(14, "train --data 'image_folder(root=cells2)'", "cannot be read from 'cells2'"),
    Row(14, "train --data 'image_folder(root=../my cells/1e5)'", "cannot be read from '../my cells/1e5'"),
    Row(15, "train --data cifar10 --data.root data", "--data.download true"),
    Row(16, "train --data series.npy QUICK --output series", WORKS),
    Row(16, "train --data absent.npy", "is not there; name a file"),
    Row(16, "train --data table.csv QUICK --output table", WORKS),
    Row(17, "train --data csv", "write --data FILE.npy"),
    Row(17, "train --data npy", "write --data FILE.npy"),
    Row(17, "train --data numpy", "write --data FILE.npy"),
    Row(18, "train --data 'image_folder(root=flat)' QUICK --name flat", WORKS),
    Row(19, "train --data 'image_folder(root=flat, side=[48,64])'", ("side is a whole number", WORKS)),
    Row(20, "train --data 'image_folder(root=grey, side=8)' QUICK", ("grey", WORKS)),
    Row(21, "train --data image_folder --data.root flat --data.channels 1 QUICK --name grey", WORKS),
    Row(22, "train --network 'unet(multipliers=[1,2,4])' --data 'image_folder(root=grey, side=50)'", "divisible by 4"),
    Row(23, "train --network unet --data moons", "try TimeMLP"),
    Row(24, "sample nosuchrun", "`train` makes one"),
    Row(25, "sample RUN --label few", ("--label takes a whole number", "no class", "classes")),
    Row(26, "sample RUN --label 7", "train one with --network.classes"),
    Row(27, "sample CLASSES --label 12", "labels lie in 0 .. 9"),
    Row(28, "sample RUN --sampler euler FEW", WORKS),
    Row(28, "sample RUN --sampler euler_a FEW", WORKS),
    Row(28, "sample RUN --sampler dpmpp_2m FEW", WORKS),
    Row(29, "sample RUN --sampler dpm++ FEW", ("dpmpp_2m", WORKS)),
    Row(30, "sample RUN --sampler heun/20 FEW", ("did you mean 'heun'", WORKS)),
    Row(31, "sample RUN --sampler 'data_form/exponential_adams(k=2)/10/karras' FEW", ("level", WORKS)),
    Row(32, "sample RUN --sampler reverse_sde/heun/10", "choose euler_maruyama"),
    Row(33, "info --kind sampler", WORKS),
    Row(33, "info --kind solver", "did you mean 'sampler'?"),
    Row(34, "info", WORKS),
    Row(35, "compare", "such as"),
    Row(36, "compare --law two --budgets 8 16 --count 16 --samplers ancestral", WORKS),
    Row(37, "compare --sampler ancestral", "--sampler is --samplers here"),
    Row(38, "compare --law gaussian", ("known: digits_empirical, mixture64, ring8, two", "did you mean")),
    Row(39, "export RUN", "required: folder; `sde-diffusion export --help`"),
    Row(40, "check MySDE", "module:name, such as"),
    Row(41, "check mine:Net", ("Preconditioned", "wrap")),
    Row(42, "check mine:WithMathExp", "elementary"),
    Row(43, "anomalies RUN --count 8", "count is between 12"),
    Row(43, "likelihood RUN --count 1", "count is between"),
    Row(44, "evaluate RUN --samples series.npy", "neither a .safetensors file nor a folder of images"),
    Row(45, "likelihood SHARED", "name a run"),
    Row(46, "sample PYTHON_RUN FEW", WORKS),
]

PYTHON = [
    Row(47, "fit(net, sde, np.zeros((64, 2)) + rng.normal(size=(64, 2)), quick)", (WORKS, "torch.as_tensor")),
    Row(48, "log_likelihood(sde, exact, np.zeros((4, 2)))", (WORKS, "torch.as_tensor")),
    Row(49, "fit(net, sde, torch.utils.data.DataLoader(x), quick)", (WORKS, "loader.dataset")),
    Row(50, "fit(Preconditioned(UNet(1, rank=1), EDMPreconditioning()), sde, x[:, :1].repeat(1, 128), quick)",
        "x[:, None]"),
    Row(51, "fit(net, sde, 255 * x.sigmoid(), quick)", "subtract the mean and divide"),
    Row(52, "fit(sde, net, x, quick)", ("fit(denoiser, sde", "swap", "order", "first")),
    Row(53, "fit(TimeMLP(2), sde, x, quick)", (WORKS, "Preconditioned(")),
    Row(54, "fit(net, sde, x, quick, epochs=3)", "steps"),
    Row(54, "TrainSettings(lr=1e-3)", "learning_rate"),
    Row(54, "EDMPreconditioning(sigma_data=0.5)", (WORKS, "data_std")),
    Row(54, "VP(beta_start=0.1)", (WORKS, "beta_min")),
    Row(55, "fit(net, sde, x, quick, device='cuda')", ("no GPU", "cpu")),
    Row(56, "sample(exact, 16)", ("reversal", "sampler")),
    Row(56, "sample(data_form(sde, exact), shape=(4, 2))", (WORKS, "solver")),
    Row(56, "sample(data_form(sde, exact), FixedGrid(ExponentialAdams(2), 4), shape=4)", (WORKS, "shape")),
    Row(56, "sample(data_form(sde, exact), FixedGrid(ExponentialAdams(2), 4), shape=(4, 2), label=1)",
        (WORKS, "Conditioned", "condition")),
    Row(57, "sample(reverse_sde(sde, exact), FixedGrid(Heun(), 4), shape=(4, 2))",
        ("EulerMaruyama", "euler_maruyama", "StochasticHeun")),
    Row(58, "FixedGrid(20, Heun())", "write FixedGrid(Heun(), 20)"),
    Row(59, "data_form(exact, sde)", ("swap", "(sde, denoiser)", "first")),
    Row(59, "log_likelihood(exact, sde, x)", ("swap", "(sde, denoiser", "first")),
    Row(59, "log_likelihood(sde, exact, torch.zeros(2))", ("batch", "(B, ")),
    Row(60, "data_form(EDMPreconditioning(), exact)", "process"),
    Row(61, "fit(net, DoubleWell(), x, quick)", "LocalDenoising"),
    Row(61, "data_form(DoubleWell(), exact)", ("reverse_sde", "LinearSDE")),
    Row(62, "reverse_sde(DoubleWell(), exact)", "pass prior="),
    Row(63, "VP().kernel(-1.0)", "0 <= t"),
    Row(65, "sde_diffusion.Unet", "did you mean 'UNet'"),
    Row(66, "sde_diffusion.metrics", (WORKS, "import sde_diffusion.metrics")),
    Row(66, "from sde_diffusion import tune", WORKS),
    Row(67, "fit(net, sde, x, quick, labels=['a'] * 64)", "labels are integers"),
    Row(67, "fit(net, sde, x.long(), quick)", "floating point"),
    Row(67, "fit(net, sde, x / 0, quick)", "finite"),
]  # fmt: skip

SHADOW = Row(64, "a file solvers.py in the working folder", "solvers.py")


def rows(given: list[Row]) -> list:
    """The rows as parameters."""
    return [pytest.param(row, id=f"{row.number}: {row.typed[:60]}") for row in given]


ADVICE = re.compile(r"did you mean|; \S|\bwrite\b|takes|known: |such as|\(works\)|did not|instead")
"""Words of a sentence that says what to do."""


def check(row: Row, answer: str) -> None:
    assert not INTERNAL.search(answer), answer
    assert bool(ADVICE.search(answer)) or not row.advises, answer
    assert any(part in answer for part in row.answers), answer
    assert len(answer) < 1200


@pytest.fixture(scope="module")
def places(trained, tmp_path_factory) -> dict[str, str]:
    """Runs, folders and files that the rows speak of."""
    import numpy as np
    import torch
    from PIL import Image

    from sde_diffusion import DiffusionModel, TimeMLP

    root = tmp_path_factory.mktemp("mistakes")
    few = "--training.steps 2 --training.batch_size 8 --device cpu --watch.held_out_every 0 --watch.levels_every 0"
    quick = [*few.split(), "--watch.pictures_every", "0", "--network.width", "8"]
    assert main(["train", *quick, "--output", str(root / "classes")]) == 0
    for name in ("flat", "grey/a"):
        (root / name).mkdir(parents=True)
        for i in range(8):
            Image.fromarray(np.full((8, 12), 30 * i, np.uint8)).save(root / name / f"{i}.png")
    np.save(root / "series.npy", np.random.default_rng(0).normal(size=(40, 8)))
    (root / "table.csv").write_text("mass,length\n" + "".join(f"{i},{i % 7}\n" for i in range(40)))
    (root / "lr.yaml").write_text("training: {lr: 1e-3}\n")
    (root / "mine.py").write_text(MINE)
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    DiffusionModel.for_data(x, network=TimeMLP(2, width=8)).save(root / "shared")
    in_python = DiffusionModel.for_data(x, network=TimeMLP(2, width=8))
    in_python.fit(x, steps=2, batch_size=8, checkpoint_every=1, folder=root / "python", device="cpu")
    return {
        "RUN": str(trained), "CLASSES": str(root / "classes"), "SHARED": str(root / "shared"), "HERE": str(root),
        "PYTHON_RUN": str(root / "python"), "FEW": "--count 1 --chunk 1 --steps 2 --device cpu", "QUICK": " ".join(quick),
    }  # fmt: skip


MINE = """
import math
from torch import nn
from sde_diffusion.sde import LinearSDE

class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)

class WithMathExp(LinearSDE):
    horizon, t_min = 1.0, 1e-3
    def f(self, t):
        return -1.0
    def g(self, t):
        return math.sqrt(2.0)
    def alpha(self, t):
        return math.exp(-t)
    def sigma(self, t):
        return math.sqrt(1 - math.exp(-2 * t))
    def time(self, log_snr):
        return 0.5 * math.log1p(math.exp(-log_snr))
"""


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("row", rows(TYPED))
def test_typed_on_the_command_line(row, places, capsys, monkeypatch):
    monkeypatch.chdir(places["HERE"])
    words = re.sub(r"\b[A-Z_]{3,}\b", lambda word: places.get(word[0], word[0]), row.typed)
    capsys.readouterr()
    code = main(shlex.split(words))
    said = capsys.readouterr()
    assert code in (0, 1, 2)
    report = said.out[said.out.find("FAILS") :] if code == 1 else ""  # of a check that failed
    check(row, f"{said.err}{report} {WORKS if code == 0 else ''}")
    lines = [line for line in said.err.splitlines() if not line.startswith("sde-diffusion: warning: ")]
    assert code != 2 or len(lines) == 1


@pytest.fixture(scope="module")
def names() -> dict:
    """What a person has imported."""
    import numpy as np
    import torch

    import sde_diffusion
    from sde_diffusion import SDE, EDMPreconditioning, ExactDenoiser, Preconditioned, TimeMLP, TrainSettings
    from sde_diffusion.exact.problems import two

    class DoubleWell(SDE):
        horizon, t_min = 3.0, 0.0

        def drift(self, x, t):
            return x - x**3

        def diffusion(self, t):
            return 1.0

    imported: dict = {"sde_diffusion": sde_diffusion, "torch": torch, "np": np, "DoubleWell": DoubleWell}
    exec("from sde_diffusion import *\nfrom solvers import *", imported)
    quick = TrainSettings(steps=1, batch_size=8)
    net = Preconditioned(TimeMLP(2, width=8), EDMPreconditioning())
    ready = {"net": net, "quick": quick, "exact": ExactDenoiser(two()), "sde": imported["VP"]()}
    generator = torch.Generator().manual_seed(0)
    return imported | ready | {"x": torch.randn(64, 2, generator=generator), "rng": np.random.default_rng(0)}


@pytest.mark.parametrize("row", rows(PYTHON))
def test_typed_in_python(row, names):
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        try:
            exec(row.typed, dict(names))
            answer = WORKS
        except Exception as error:
            answer = str(error)
    check(row, " ".join([answer, *(str(one.message) for one in given)]))


@pytest.mark.parametrize("row", rows([SHADOW]))
def test_a_file_that_hides_the_package_is_named(row, tmp_path):
    import os
    import subprocess
    import sys
    from pathlib import Path

    (tmp_path / "solvers.py").write_text("x = 1\n")
    path = os.pathsep.join(["", str(Path(__file__).resolve().parents[2])])
    code = "from sde_diffusion import VP, sample"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    last = (done.stderr.strip().splitlines() or [WORKS])[-1]
    assert "is not a package" not in last
    check(row, last)


def test_the_table_is_whole_and_most_answers_say_what_to_do():
    table = [*TYPED, *PYTHON, SHADOW]
    assert {row.number for row in table} == set(range(1, 68))
    assert len({row.number for row in table if row.advises}) >= 55
