"""One trial: a copy of the project, a fault in the copy, and a process of its own that runs the tests there.

A test run is forked from a server that has imported torch and pytest once, so that a trial costs its tests and little
else. A verdict of the tests counts only if they ran on the copy alone, whatever the parent had imported.
"""

from __future__ import annotations

import gc
import importlib
import math
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.fault import Change, DoesNotApply, Fault

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("sde_diffusion", "solvers", "tests", "benchmarks")
PRELOADED = [
    "numpy", "scipy.integrate", "scipy.special", "scipy.stats", "torch", "torch.func", "torch.distributions",
    "torch._dynamo", "safetensors.torch", "hypothesis.strategies", "pytest",
]  # fmt: skip
ALWAYS = [
    "-q", "--tb=line", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning",
    "-o", "addopts=--strict-markers --import-mode=importlib",  # in one process, whatever the project asks for
]  # fmt: skip

PASSED, FAILED = 0, 1  # pytest's exit codes
FROM_OUTSIDE = 99  # ours: something outside the copy was imported
CAUGHT, SURVIVED, BROKEN, TIMEOUT, ABSENT = "caught", "survived", "broken", "timeout", "does-not-apply"


@dataclass(frozen=True)
class Outcome:
    """What became of a fault: its verdict, after how long, the test that failed or the complaint."""

    name: str
    verdict: str
    seconds: float
    by: str


def copy_project(source: Path, target: Path) -> Path:
    """The Python files of the project, with their times and their compiled forms, and its configuration."""
    for folder in FOLDERS:
        if (source / folder).is_dir():
            shutil.copytree(source / folder, target / folder, ignore=_all_but_python)
    shutil.copy2(source / "pyproject.toml", target)
    return target


def _all_but_python(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not (name.endswith((".py", ".pyi", ".pyc")) or (Path(folder) / name).is_dir())]


def write(change: Change, copy: Path) -> None:
    """Put a fault into the copy. A compiled form of equal size and second would hide it, so those go."""
    path = copy / change.file
    path.write_text(change.text, encoding="utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def try_fault(fault: Fault, texts: dict[str, str], original: Path, scratch: Path, seconds: float) -> Outcome:
    """The verdict on a fault, tried in a copy of `original`, whose modules have these `texts`."""
    try:
        change = fault.applied_to(texts)
    except DoesNotApply as complaint:
        return Outcome(fault.name, ABSENT, 0.0, str(complaint))
    return try_change(fault.name, change, (fault.tests, fault.only), original, scratch, seconds)


def try_change(
    name: str, change: Change, tests: tuple[str, str], original: Path, scratch: Path, seconds: float
) -> Outcome:
    """The verdict on a change, by some test files and pytest's -k expression; the copy below `scratch` is removed."""
    copy, began = copy_project(original, scratch / name), time.monotonic()
    try:
        write(change, copy)
        code, said = run_tests(copy, *tests, seconds)
    finally:
        shutil.rmtree(copy)
    verdict = {PASSED: SURVIVED, FAILED: CAUGHT if failures(said) else BROKEN, None: TIMEOUT}.get(code, BROKEN)
    return Outcome(name, verdict, time.monotonic() - began, _reason(verdict, said))


def try_nothing(tests: str, only: list[str], original: Path, seconds: float) -> Outcome:
    """The same tests on the project as it is: they pass, or else what they catch means nothing."""
    began, either = time.monotonic(), " or ".join(f"({expression})" for expression in only)
    code, said = run_tests(original, tests, either, seconds, "--maxfail=3")
    verdict = {PASSED: "passes", None: TIMEOUT}.get(code, BROKEN)
    return Outcome(f"no fault, {tests}", verdict, time.monotonic() - began, _reason(verdict, said))


def run_tests(folder: Path, tests: str, only: str, seconds: float, stop: str = "-x") -> tuple[int | None, str]:
    """pytest's exit code (None after `seconds`) and its output for the tests of a copy that `only` selects.

    `tests` names files, with spaces between them.
    What ends otherwise than by passing, failing or running out of time is tried a second time: a process of this size
    sometimes dies on its way out.
    """
    code, said = _run_once(folder, tests, only, seconds, stop)
    return (code, said) if code in (PASSED, FAILED, None) else _run_once(folder, tests, only, seconds, stop)


def _run_once(folder: Path, tests: str, only: str, seconds: float, stop: str) -> tuple[int | None, str]:
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".log", delete=False) as file:
        log = Path(file.name)  # its own, for the project without a fault serves several runs at once
    command = [*tests.split(), stop, *ALWAYS, *(["-k", only] if only else [])]
    arguments = (str(folder), command, str(log), seconds)
    process = context.Process(target=_pytest, args=arguments, daemon=False)  # a test may start processes of its own
    process.start()
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
        return None, f"no end after {seconds:.0f} s"
    return process.exitcode, log.read_text(encoding="utf-8", errors="replace")


def _pytest(folder: str, command: list[str], log: str, seconds: float) -> None:
    """In the new process: forget the parent's project, stand in the copy, run its tests."""
    if hasattr(signal, "alarm"):
        signal.alarm(math.ceil(seconds) + 60)  # should the parent be killed, this process is not left behind for long
    with open(log, "w", encoding="utf-8") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    for name in [name for name in sys.modules if name.split(".")[0] in FOLDERS]:
        del sys.modules[name]
    sys.path[:] = [folder, *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    importlib.invalidate_caches()
    os.chdir(folder)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # what else is installed takes no part, and no time
    os.environ.pop("PYTEST_ADDOPTS", None)  # nor what the caller asks of its own run
    gc.freeze()  # what the server has imported needs no collection
    import pytest

    code = int(pytest.main(command, plugins=[Hurry()]))
    raise SystemExit(FROM_OUTSIDE if _from_outside(folder) else code)


class Hurry:
    """A plugin: that an example fails is enough, the smallest one that fails is not looked for."""

    @staticmethod
    def pytest_configure(config) -> None:
        """After conftest.py has chosen its profile of hypothesis, before the tests are imported."""
        from hypothesis import Phase, settings

        settings.register_profile("hurry", settings.default, phases=[Phase.explicit, Phase.generate])
        settings.load_profile("hurry")


def _from_outside(folder: str) -> list[str]:
    """The project's modules that were not imported from the copy."""
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    ours = {name: file for name, file in files.items() if file and name.split(".")[0] in FOLDERS}
    wrong = [f"{name} from {file}" for name, file in ours.items() if not file.startswith(folder)]
    print("\n".join(f"not the copy's: {line}" for line in wrong), flush=True)
    return wrong


def prepare_server() -> None:
    """Let the server import what every test run needs; call before the first trial."""
    if os.name == "posix":
        multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)


def failures(said: str) -> list[str]:
    """The tests that pytest names as failed."""
    return re.findall(r"^FAILED \S*?(\w+\.py::.*?)(?: - .*)?$", said, re.M)


def _reason(verdict: str, said: str) -> str:
    """The test that failed, or the last line that says something."""
    lines = [line for line in said.splitlines() if line.strip()]
    if verdict == CAUGHT:
        return failures(said)[0]
    return " ".join([*failures(said)[:1], *lines[-1:]])
