"""The floors of the house: imports fall, none climbs back, and neighbours on one floor do not know each other.

Every import counts, inside functions too; only blocks under `if TYPE_CHECKING:` do not. A new room, or a new file
directly in `sde_diffusion/`, gets its line in FLOORS.
"""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]

FLOORS = {
    "solvers": 0,
    "sde_diffusion.specs": 1,
    "sde_diffusion.plugins": 1,
    "sde_diffusion.resolver": 1,
    "sde_diffusion.kernel": 1,
    "sde_diffusion.junction": 1,
    "sde_diffusion.networks": 1,
    "sde_diffusion.data": 1,
    "sde_diffusion.metrics": 1,
    "sde_diffusion.observations": 1,
    "sde_diffusion.io": 1,
    "sde_diffusion.sde": 2,
    "sde_diffusion.parameterization": 2,
    "sde_diffusion.data_paths": 2,
    "sde_diffusion.arrays": 3,
    "sde_diffusion.conditions": 3,
    "sde_diffusion.denoisers": 3,
    "sde_diffusion.guidance": 4,
    "sde_diffusion.reversal": 4,
    "sde_diffusion.objectives": 4,
    "sde_diffusion.exact": 4,
    "sde_diffusion.couplings": 5,
    "sde_diffusion.sampling": 5,
    "sde_diffusion.training": 5,
    "sde_diffusion.report": 5,
    "sde_diffusion.tuning": 6,
    "sde_diffusion.likelihood": 6,
    "sde_diffusion.posteriors": 6,
    "sde_diffusion.testing": 6,
    "sde_diffusion.sharing": 6,
    "sde_diffusion.standardization": 2,
    "sde_diffusion.model": 7,
    "sde_diffusion.callbacks": 8,
    "sde_diffusion.evaluation": 9,
    "sde_diffusion.cli": 10,
    "sde_diffusion": 11,  # the facade imports all, nothing imports the facade
}
HELPERS = {
    f"sde_diffusion.{name}" for name in ("specs", "plugins", "resolver", "io", "kernel")
}  # open to their own floor
SIDEWAYS: set[tuple[str, str]] = set()  # doors between neighbours on one floor

DERIVED = {
    "sde_diffusion.sharing.diffusers_scheduler"
}  # their classes derive from an extra's; only its users import them
HEAVY = ("torchvision", "sklearn", "matplotlib", "scipy.stats")  # seconds to import: only where they are needed
HEAVY_FOR_HELP = ("torch", *HEAVY)  # what `sde-diffusion --help` leaves alone
LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)  # what stands in these happens when they are called


class Import(NamedTuple):
    """One import of a module: the dotted name, the line, and whether it happens as soon as the module is imported."""

    name: str
    line: int
    eager: bool


def sources() -> dict[str, Path]:
    """Dotted module name -> file, for the whole library."""
    files = [path for top in ("sde_diffusion", "solvers") for path in sorted((ROOT / top).rglob("*.py"))]
    return {dotted(path): path for path in files}


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, package: str, eager: bool = True) -> Iterator[Import]:
    """All imports below a node of a module that lives in `package`, with absolute names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            node = ast.Module(node.orelse, [])
        yield from (Import(name, node.lineno, eager) for name in _names(node, package))
        yield from imports(node, package, eager and not isinstance(node, LATER))


def _names(node: ast.AST, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
    return []


def package_of(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


@cache
def imports_of(module: str) -> tuple[Import, ...]:
    path = sources()[module]
    return tuple(imports(ast.parse(path.read_text(encoding="utf-8")), package_of(module, path)))


def room(name: str) -> str | None:
    """The longest entry of FLOORS that holds the dotted name; None for other people's packages."""
    return max((entry for entry in FLOORS if name == entry or name.startswith(entry + ".")), key=len, default=None)


def climbs(module: str, found: tuple[Import, ...]) -> list[str]:
    """What the imports of one module break of the floors, a sentence each."""
    home = room(module)
    return [f"{module}:{i.line} imports {i.name}" for i in found if not _falls(home, room(i.name))]


def _falls(home: str | None, target: str | None) -> bool:
    if target is None or home is None or target == home or (home, target) in SIDEWAYS:
        return True
    return FLOORS[target] < FLOORS[home] or (target in HELPERS and FLOORS[target] == FLOORS[home])


def top_of(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def synthetic(module: str, text: str) -> tuple[Import, ...]:
    """The imports of a module that exists only here."""
    return tuple(imports(ast.parse(text), module.rpartition(".")[0]))


def test_every_module_has_a_floor():
    homeless = [m for m in sources() if m.count(".") and room(m) == "sde_diffusion" and not m.endswith(".__main__")]
    assert not homeless, f"{homeless} stand on no floor: give each a line in FLOORS of {Path(__file__).name}"
    assert len(sources()) > 3, "the library was not found"


def test_imports_only_fall():
    assert not [sentence for module in sources() for sentence in climbs(module, imports_of(module))]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("solvers.methods.euler", "import sde_diffusion"),
        ("solvers.methods.euler", "from sde_diffusion.kernel import Kernel"),
        ("sde_diffusion.sde.vp", "from sde_diffusion.denoisers.base import Denoiser"),
        ("sde_diffusion.sde.vp", "from ..denoisers import Denoiser"),
        ("sde_diffusion.sde.vp", "from .. import denoisers"),
        ("sde_diffusion.sde.vp", "from sde_diffusion import exact"),
        ("sde_diffusion.sde.vp", "from sde_diffusion import VP"),
        ("sde_diffusion.sde.vp", "from sde_diffusion.parameterization.edm import EDM"),
        ("sde_diffusion.sde.vp", "def f():\n    import sde_diffusion.training.loop"),
        ("sde_diffusion.sde.vp", "import importlib\nimportlib.import_module('sde_diffusion.cli')"),
        ("sde_diffusion.sde.vp", "try:\n    pass\nfinally:\n    from sde_diffusion.report import page"),
        ("sde_diffusion.sde.vp", "if TYPE_CHECKING:\n    pass\nelse:\n    import sde_diffusion.report"),
        ("sde_diffusion.data.digits", "from sde_diffusion.exact import Mixture"),
        ("sde_diffusion.networks.mlp", "from sde_diffusion.data import moons"),
        ("sde_diffusion.kernel", "from sde_diffusion.networks import TimeMLP"),
        ("sde_diffusion.sampling", "from sde_diffusion.likelihood import elbo"),
        ("sde_diffusion.report.page", "from sde_diffusion.cli.main import main"),
    ],
)
def test_a_climbing_import_is_found(module, text):
    assert climbs(module, synthetic(module, text))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("sde_diffusion.kernel", "from solvers.elementary import log\nfrom solvers.elementwise import along"),
        ("sde_diffusion.networks.mlp", "from .. import plugins\nfrom . import unet\nimport torch.nn"),
        ("sde_diffusion.sde.vp", "from .base import LinearSDE\nfrom sde_diffusion.kernel import Kernel"),
        ("sde_diffusion.sde.vp", "if TYPE_CHECKING:\n    from sde_diffusion.denoisers.base import Denoiser"),
        ("sde_diffusion.sde.vp", "if typing.TYPE_CHECKING:\n    from sde_diffusion.denoisers.base import Denoiser"),
        (
            "sde_diffusion.exact.mixture",
            "from sde_diffusion.denoisers.base import Denoiser\nimport sde_diffusion.kernel",
        ),
        ("sde_diffusion.cli.main", "def main():\n    from sde_diffusion.report import page"),
        ("sde_diffusion.__main__", "from sde_diffusion.cli.main import main"),
        ("sde_diffusion.sde.vp", "import sde_diffusional"),
    ],
)
def test_a_falling_import_passes(module, text):
    assert synthetic(module, text) or "TYPE_CHECKING" in text
    assert not climbs(module, synthetic(module, text))


def knows_networks(text: str, package: str) -> bool:
    """Whether a module's text names torch.nn, by import or by attribute."""
    tree = ast.parse(text)
    attributes = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return any(top_of(name, ("torch.nn",)) for name in [*attributes, *(i.name for i in imports(tree, package))])


def test_solvers_know_no_networks():
    rooms = {module: path for module, path in sources().items() if room(module) == "solvers"}
    knowing = [m for m, path in rooms.items() if knows_networks(path.read_text(encoding="utf-8"), package_of(m, path))]
    assert rooms
    assert not knowing, f"{knowing} name torch.nn; solvers/ is numerics for anybody"


@pytest.mark.parametrize(
    "text", ["from torch import nn", "import torch.nn as n", "from torch.nn import Module", "x = torch.nn.Module"]
)
def test_a_solver_that_knows_networks_is_found(text):
    assert knows_networks(text, "solvers.methods")


def eager_and_heavy(module: str, found: tuple[Import, ...]) -> list[str]:
    """The imports at the top of a module that belong inside a function."""
    heavy = HEAVY_FOR_HELP if room(module) == "sde_diffusion.cli" else HEAVY
    return [f"{module}:{i.line} imports {i.name}" for i in found if i.eager and top_of(i.name, heavy)]


def test_heavy_packages_are_imported_where_they_are_used():
    assert not [sentence for module in sources() for sentence in eager_and_heavy(module, imports_of(module))]
    assert eager_and_heavy("sde_diffusion.cli.main", synthetic("sde_diffusion.cli.main", "import torch"))
    assert eager_and_heavy("sde_diffusion.data.x", synthetic("sde_diffusion.data.x", "from scipy import stats"))
    assert not eager_and_heavy("sde_diffusion.data.x", synthetic("sde_diffusion.data.x", "def f():\n import sklearn"))


def undeclared(found: list[Import]) -> set[str]:
    """Imported packages that pyproject.toml does not name; only late imports may come from an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = distributions(project["dependencies"])
    offered = needed.union(*map(distributions, project["optional-dependencies"].values()))
    providers = importlib.metadata.packages_distributions()
    foreign = {(i.name.split(".")[0], i.eager) for i in found if not room(i.name)}
    return {
        name
        for name, eager in foreign
        if name not in sys.stdlib_module_names
        and distributions(providers.get(name, [name])).isdisjoint(needed if eager else offered)
    }


def distributions(requirements: list[str]) -> set[str]:
    """The bare names of requirements: {'scikit-learn'} of ['Scikit_Learn>=1.3']."""
    names = [re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requirements]
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def test_imported_packages_are_declared():
    found = {module: imports_of(module) for module in sources()}
    late = [i._replace(eager=i.eager and module not in DERIVED) for module, own in found.items() for i in own]
    assert undeclared(late) == set()
    assert not [i for own in found.values() for i in own if i.eager and i.name.startswith(tuple(DERIVED))]
    assert undeclared([Import("pandas.api", 1, False), Import("diffusers", 1, True)]) == {"pandas", "diffusers"}
    assert undeclared([Import("sklearn.datasets", 1, True), Import("diffusers", 1, False)]) == set()


PROBES = {
    "importing the command line": "import sde_diffusion.cli.main",
    "sde-diffusion --help": (
        "import sys\nfrom sde_diffusion.cli.main import main\nsys.argv = ['sde-diffusion', '--help']\n"
        "try:\n    code = main()\nexcept SystemExit as end:\n    code = end.code\nassert not code, code"
    ),
}
WATCH = f"\nimport sys\nprint('loaded:', [name for name in {HEAVY_FOR_HELP!r} if name in sys.modules])"


def run_apart(code: str) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a fresh interpreter that finds the library first in this checkout."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.skipif(not (ROOT / "sde_diffusion/cli/main.py").exists(), reason="there is no command line yet")
@pytest.mark.parametrize("probe", PROBES)
def test_the_command_line_starts_without_the_heavy_packages(probe):
    done = run_apart(PROBES[probe] + WATCH)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "loaded: []", done.stdout


def test_a_heavy_start_is_noticed():
    done = run_apart("import sys\nsys.modules['torch'] = sys" + WATCH)
    assert done.stdout.splitlines()[-1] == "loaded: ['torch']"
