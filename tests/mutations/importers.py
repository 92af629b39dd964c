"""Which test files are about a module: those that import it, read off the sources."""

from __future__ import annotations

import ast
from functools import cache

MOST = 12  # test files that import one module; those of all implementations come on top
DISCOVERY = {"sde_diffusion.plugins.implementations", "solvers.methods.METHODS"}  # what lists a package's classes


def relevant_tests(file: str, texts: dict[str, str], tests: dict[str, str]) -> list[str]:
    """Test files for a module: those that import it, then those of all implementations in its package.

    Those in a folder of the module's name and with few imports come first. Where there is none, the importers of its
    importers are asked, and so on.
    """
    modules = {name: text for name, text in texts.items() if not name.endswith("__init__.py")}
    files = {name: text for name, text in tests.items() if name.rpartition("/")[2].startswith("test_")}
    packages = set(file.split("/")[:-1])

    def distance(test: str) -> tuple[bool, int, str]:
        return packages.isdisjoint(test.split("/")), len(imported(files[test])), test

    nearest, known, contracts = {file}, {file}, set()
    while nearest:
        direct = set().union(*(importers(one, texts[one], files) for one in nearest))
        contracts |= set().union(*(_contracts(one, files) for one in nearest))
        if direct:
            closest = sorted(direct, key=distance)[:MOST]
            return [*closest, *sorted(contracts - set(closest), key=distance)]
        nearest = {user for one in nearest for user in importers(one, texts[one], modules)} - known
        known |= nearest
    return sorted(contracts, key=distance)[:MOST]


def _contracts(file: str, tests: dict[str, str]) -> set[str]:
    """The test files that ask for every implementation in the module's package, a package within another one."""
    package = dotted(file).rpartition(".")[0]
    asking = {test for test, text in tests.items() if DISCOVERY & imported(text) and package in imported(text)}
    return asking if "." in package else set()


@cache
def imported(text: str) -> frozenset[str]:
    """What a module imports: `a.b` and `a.b.name` for `from a.b import name`."""
    nodes = list(ast.walk(ast.parse(text)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    origins = [(node.module or "", node.names) for node in nodes if isinstance(node, ast.ImportFrom)]
    return frozenset(plain | {m for m, _ in origins} | {f"{m}.{alias.name}" for m, names in origins for alias in names})


def importers(file: str, text: str, others: dict[str, str]) -> set[str]:
    """The files that import a module, or its names from a package around it."""
    parts = dotted(file).split(".")
    names = {node.name for node in ast.parse(text).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    around = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
    ours = {".".join(parts), *(f"{package}.{name}" for package in around for name in names)}
    return {other for other, code in others.items() if other != file and ours & imported(code)}


def dotted(file: str) -> str:
    """The name under which a file is imported."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
