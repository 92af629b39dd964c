"""The suite catches every deliberate fault; the list of faults cannot rot; the judge of the trials is judged too."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache

import pytest

from tests.mutations.fault import DoesNotApply, Fault
from tests.mutations.faults import FAULTS
from tests.mutations.run import outcomes
from tests.mutations.trial import ROOT

each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


@each_fault
def test_a_fault_applies_to_the_present_sources(fault):
    """Once, to code and not to prose; what comes of it is Python still; and nothing is left to a guess."""
    ast.parse(fault.applied_to(ROOT))
    assert fault.story.endswith(".")
    assert fault.file.startswith(("solvers/", "sde_diffusion/"))


@each_fault
def test_the_tests_that_must_catch_it_are_there(fault):
    """The names in the selection are of tests that exist, so that a renamed test is noticed without a trial."""
    assert (ROOT / fault.tests).is_file()
    assert any(chosen(fault.only, name) for name in names_of_tests(fault.tests))


@cache
def names_of_tests(path: str) -> list[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def chosen(only: str, name: str) -> bool:
    """Whether the selection speaks of this test: one of its words is part of the name (others are of parameters)."""
    return any(len(word) > 6 and word in name for word in only.replace("(", " ").replace(")", " ").split())


def test_no_name_is_used_twice_and_every_floor_has_faults():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    rooms = {fault.file.rpartition("/")[0] for fault in FAULTS}
    rooms_named = {f"sde_diffusion/{room}" for room in ("sde", "parameterization", "exact", "reversal", "objectives")}
    assert {"solvers", "solvers/methods", "sde_diffusion", "sde_diffusion/training", *rooms_named} <= rooms


# The judge, on a project of three files.

SOURCE = '"""Halves."""\n\n\ndef half(x):\n    """Half of x; not x * 2."""\n    return x / 2\n'
TESTS = "from solvers.halves import half\n\n\ndef test_half():\n    assert half(4) == 2\n"
HALVES = Fault("", "solvers/halves.py", "return x / 2", "", "A story.", "tests/test_halves.py", "half")


@pytest.fixture
def project(tmp_path):
    for path, text in (("solvers/halves.py", SOURCE), ("solvers/__init__.py", ""), ("tests/test_halves.py", TESTS)):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    return tmp_path


TRIALS = {
    "caught": replace(HALVES, new="return x * 2"),
    "survived": replace(HALVES, new="return x * 0.5"),
    "broken": replace(HALVES, old="def half(x)", new="def other(x)"),
    "does-not-apply": replace(HALVES, old="return x / 3", new="return x"),
}
NOTHING_SELECTED = replace(HALVES, name="nothing-selected", new="return x * 2", only="no_such_test")
ENDLESS = replace(HALVES, name="endless", new="import time\n    time.sleep(600)")


def test_the_judge_tells_apart_what_can_happen(project):
    """Each verdict once. A missing name or an empty selection must not pass for a caught fault."""
    faults = [replace(fault, name=verdict) for verdict, fault in TRIALS.items()]
    found = {o.name: o.verdict for o in outcomes([*faults, NOTHING_SELECTED], project, jobs=2)}
    assert found.pop("nothing-selected") == "broken"
    assert found.pop("no fault, tests/test_halves.py") == "passes"
    assert found == {verdict: verdict for verdict in TRIALS}
    assert (project / "solvers/halves.py").read_text() == SOURCE


def test_an_endless_test_is_ended(project):
    *_, last = outcomes([ENDLESS], project, seconds=2.0)
    assert (last.name, last.verdict) == ("endless", "timeout")


def test_a_verdict_on_another_copy_is_none(project, tmp_path_factory):
    """Tests that reach for the library outside the copy pass or fail for reasons of its own."""
    outside = tmp_path_factory.mktemp("outside")
    shutil.copytree(project / "solvers", outside / "solvers")
    reach = f"import sys\n\nsys.path.insert(0, {str(outside)!r})\n"
    (project / "tests/test_halves.py").write_text(reach + TESTS.replace("== 2", "== 3"))
    found = [o.verdict for o in outcomes([replace(TRIALS["caught"], name="a")], project)]
    assert found == ["broken", "broken"]


def test_tests_that_fail_anyway_catch_nothing(project):
    (project / "tests/test_halves.py").write_text(TESTS.replace("== 2", "== 3"))
    found = [o.verdict for o in outcomes([replace(TRIALS["caught"], name="a")], project)]
    assert found == ["broken", "caught"]


@pytest.mark.parametrize(("old", "says"), [("x", "times"), ("not x * 2", "docstring"), ("x / 3", "0 times")])
def test_a_fault_that_is_none_is_refused(project, old, says):
    with pytest.raises(DoesNotApply, match=says):
        replace(HALVES, name="a", old=old, new="7").applied_to(project)


@pytest.mark.slow
def test_every_fault_is_caught():
    """The script in full, as anybody would run it; about 2 minutes on two free cores."""
    command = [sys.executable, "-m", "tests.mutations.run", "--jobs", "2", "--timeout", "300", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode in (0, 1), done.stderr
    verdicts = {outcome["name"]: outcome["verdict"] for outcome in json.loads(done.stdout)}
    assert {fault.name for fault in FAULTS} <= verdicts.keys()
    assert {name: verdict for name, verdict in verdicts.items() if verdict not in ("caught", "passes")} == {}
    assert done.returncode == 0
