"""Runs what a newcomer runs where no extra is installed: `--help` of every command, `info`, and the README's Python.

    python .ci/without_extras.py README.md

The packages of the extras are hidden from import, so that it says the same where they are installed. At the end, every
package that was imported must be among the requirements of the plain installation, or of one of those. Exit code 1, with
one line for each failure, if anything fails.
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

HIDDEN = {
    "accelerate", "azula", "diffusers", "huggingface_hub", "k_diffusion", "tensorboard", "tensorboardX", "torch_fidelity",
    "torchdiffeq", "torchmetrics", "transformers",
}  # fmt: skip
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
ALLOWED = {"pip", "setuptools", "sde-diffusion"}


class Hide(MetaPathFinder):
    """A finder, first in line, that finds nothing of the hidden packages and says that they are not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """None for any other package."""
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r} (hidden by .ci/without_extras.py)", name=name)


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
    yield "the imported packages are declared", declared


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


def declared() -> None:
    """RuntimeError for a package that was imported and that no requirement brings."""
    providers = metadata.packages_distributions()
    imported = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
    brought = required("sde-diffusion") | ALLOWED
    strangers = {name for name in imported if name in providers and not {plain(p) for p in providers[name]} & brought}
    if strangers:
        raise RuntimeError(f"{', '.join(sorted(strangers))}: imported, and no requirement of sde-diffusion")


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
    sys.meta_path.insert(0, Hide())
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
