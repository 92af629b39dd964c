"""Runs what a newcomer runs where no extra is installed: `--help` of every command, `info`, and the README's Python.

    python .ci/without_extras.py README.md

Every package that the plain installation does not bring is hidden from import, so that it says the same where the extras
are installed, and an import that pyproject.toml does not declare fails. Exit code 1, with a line for each failure.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Hide(MetaPathFinder):
    """Stands for all finders of this interpreter, and finds neither hidden packages nor hidden distributions."""

    def __init__(self, finders: Sequence[Any], packages: set[str], brought: set[str]) -> None:
        self.finders, self.packages, self.brought = finders, packages, brought

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """The spec of a package that is not hidden, from the first finder that has one."""
        if name.partition(".")[0] in self.packages:
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next((spec for spec in found if spec is not None), None)

    def find_distributions(self, context: Any = None) -> Iterator[metadata.Distribution]:
        """The distributions that the plain installation brings."""
        for finder in self.finders:
            for found in getattr(finder, "find_distributions", lambda _: ())(context):
                if plain(found.metadata["Name"]) in self.brought:
                    yield found


def checks(readme: str) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is run, in this order: a name and a function that raises when it fails."""
    from sde_diffusion.cli.main import found

    yield "sde-diffusion --help", lambda: command("--help")
    yield "sde-diffusion --version", lambda: command("--version")
    for name in found():
        yield f"sde-diffusion {name} --help", lambda name=name: command(name, "--help")
    yield "sde-diffusion info", lambda: command("info")
    names: dict = {"__name__": "readme"}
    for number, code in enumerate(BLOCK.findall(readme), 1):
        yield f"README.md, Python block {number}", lambda code=code: exec(code, names)


def command(*arguments: str) -> None:
    """Run a command; RuntimeError unless it ends with 0."""
    from sde_diffusion.cli.main import main

    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = main(list(arguments))
    except SystemExit as end:
        code = end.code
    if code:
        raise RuntimeError(f"exit code {code}: {out.getvalue()[-300:]}")


def hide() -> None:
    """Hide what an installation of sde-diffusion without extras does not bring."""
    brought = required("sde-diffusion")
    owners = metadata.packages_distributions()
    packages = {name for name, names in owners.items() if not brought & set(map(plain, names))}
    sys.meta_path[:] = [Hide(list(sys.meta_path), packages, brought)]


def required(distribution: str) -> set[str]:
    """The names of all distributions that an installation without extras brings."""
    found, waiting = set(), [distribution]
    while waiting:
        name = plain(waiting.pop())
        if name in found:
            continue
        found.add(name)
        with contextlib.suppress(metadata.PackageNotFoundError):
            lines = metadata.requires(name) or []
            waiting += [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line]
    return found


def plain(name: str) -> str:
    """The name of a distribution as packages compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: Sequence[str]) -> int:
    """Run all checks; 1 if one fails."""
    hide()
    readme, failures = Path(arguments[0]).read_text(encoding="utf-8"), 0
    for name, check in checks(readme):
        try:
            check()
            print(f"ok      {name}", flush=True)
        except Exception as error:
            failures += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            first = (str(error).splitlines() or [""])[0]
            print(f"FAILED  {name}: {type(error).__name__}: {first} ({where.filename}:{where.lineno})", flush=True)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
