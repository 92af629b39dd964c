"""The suite catches every seeded fault; each fault still applies; the trials themselves give the right verdicts."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache

import pytest

from benchmarks.random_faults import unexplained
from tests.mutations import random_faults
from tests.mutations.fault import DoesNotApply, Fault, project_texts
from tests.mutations.faults import FAULTS
from tests.mutations.importers import DISCOVERY, relevant_tests
from tests.mutations.no_difference import REASONS
from tests.mutations.run import outcomes
from tests.mutations.trial import ROOT

each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


@pytest.fixture(scope="module")
def texts():
    return project_texts(ROOT)


@each_fault
def test_a_fault_applies_to_the_present_sources(fault, texts):
    """Once, to code and not to prose; and what comes of it is Python still."""
    ast.parse(fault.applied_to(texts).text)
    assert fault.story.endswith(".")


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


def test_no_name_is_used_twice_and_every_package_has_faults(texts):
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    changed = {fault.applied_to(texts).file.rpartition("/")[0] for fault in FAULTS}
    packages = {f"sde_diffusion/{name}" for name in ("sde", "parameterization", "exact", "reversal", "objectives")}
    assert {"solvers", "solvers/methods", "sde_diffusion", "sde_diffusion/training", *packages} <= changed


# The trials, on a project of three files.

DOC = '"""Half of x; not x * 2."""'
SOURCE = f'"""Halves."""\n\n\ndef half(x):\n    {DOC}\n    return x / 2\n'
TESTS = "from solvers.halves import half\n\n\ndef test_half():\n    assert half(4) == 2\n"
HALVES = Fault("", "half", "return x / 2", "", "A story.", "tests/test_halves.py", "half")


@pytest.fixture
def project(tmp_path):
    for path, text in (("solvers/halves.py", SOURCE), ("solvers/__init__.py", ""), ("tests/test_halves.py", TESTS)):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    options = (
        'pythonpath = ["."]\naddopts = "--an-option-of-a-plugin"'  # as ours asks for pytest-xdist, which takes no part
    )
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{options}\n")
    return tmp_path


TRIALS = {
    "caught": replace(HALVES, new="return x * 2"),
    "survived": replace(HALVES, new="return x * 0.5"),
    "broken": replace(HALVES, old="def half(x)", new="def other(x)"),
    "does-not-apply": replace(HALVES, old="return x / 3", new="return x"),
}
NOTHING_SELECTED = replace(HALVES, name="nothing-selected", new="return x * 2", only="no_such_test")
ENDLESS = replace(HALVES, name="endless", new="import time\ntime.sleep(600)")


def test_each_verdict_is_given(project):
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


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [("x", "7", "2 times"), ("x / 3", "7", "0 times"), (DOC, '"x"', "no code"), ("x / 2", "x /", "no Python")],
)
def test_a_fault_that_is_none_is_refused(project, old, new, says):
    with pytest.raises(DoesNotApply, match=says):
        replace(HALVES, name="a", old=old, new=new).applied_to(project_texts(project))


# What a fault is anchored by.

LAYOUTS = {
    "as it is": "def f(x):\n    return g(x, 1.0)[0]\n",
    "wrapped": "def f(x):\n    return (\n        g(\n            x,  # x, 1\n            1.0,\n        )[0]\n    )\n",
    "a method": "class A:\n    @staticmethod\n    def f(x):\n        return g(x, 1.)[0]\n\n    b = 1\n",
    "quoted": "def f(x):\n    'g(x, 1.0)[0]'\n    return g(x, 1.0)[0]\n",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("old", ["return g(x, 1.0)[0]", "(x, 1.0)[", "x,\n1.0)", "[0]"])
def test_a_layout_makes_no_difference(layout, old):
    new = old.replace("0]", "7]").replace("x", "y")
    fault = replace(HALVES, where="A.f" if layout == "a method" else "f", old=old, new=new)
    source = LAYOUTS[layout]
    *before, last = source.rpartition("return")
    expected = "".join(
        [*before, last.replace("0]", "7]" if "0]" in old else "0]").replace("x", "y" if "x" in old else "x")]
    )
    assert ast.dump(ast.parse(fault.applied_to({"a.py": source}).text)) == ast.dump(ast.parse(expected))


def test_further_lines_are_indented_like_the_first():
    source = "class A:\n    def f(self):\n        a = [1,\n2]\n        return a\n\n    c = 3\n"
    fault = replace(HALVES, where="A.f", old="a = [1, 2]\nreturn", new="if 7:\n    a = 8\nreturn")
    expected = "class A:\n    def f(self):\n        if 7:\n            a = 8\n        return a\n\n    c = 3\n"
    assert ast.dump(ast.parse(fault.applied_to({"a.py": source}).text)) == ast.dump(ast.parse(expected))


def test_a_name_in_two_modules_is_found_by_its_code_or_its_module():
    texts = {"s/a.py": "def f(x):\n    return x + 1\n", "s/b.py": "def f(x):\n    return x + 2\n", "s/c.py": "F = 1\n"}
    fault = replace(HALVES, where="f", new="0")
    assert replace(fault, old="x + 2").applied_to(texts).file == "s/b.py"
    with pytest.raises(DoesNotApply, match=r"2 times \(s/a.py, s/b.py\); quote more of it, or write the module"):
        replace(fault, old="return x").applied_to(texts)
    with pytest.raises(DoesNotApply, match="0 times"):
        replace(fault, old="x + 3").applied_to(texts)
    assert replace(fault, old="return x", where="b:f").applied_to(texts).file == "s/b.py"
    assert replace(fault, old="1", where="F").applied_to(texts).file == "s/c.py"
    assert replace(fault, old="x + 1", where="s.a:").applied_to(texts).file == "s/a.py"
    with pytest.raises(DoesNotApply, match="nothing has the name 'g'"):
        replace(fault, where="g").applied_to(texts)


# Random faults: how they are drawn, not the trials.

CHANGES = {
    "a + b": ["a - b", "a"],
    "a / b": ["a * b"],
    "a < b": ["a <= b"],
    "a == b": ["a != b"],
    "a and b": ["a or b"],
    "-a": ["a"],
    "True": ["False"],
    "1": ["2"],
    "0.5": ["1.0"],
    "min(a)": ["max(a)"],
    "a.maximum(b)": ["a.minimum(b)"],
    "math.sqrt(a)": ["a"],
    "a.sqrt()": ["a"],
}


@pytest.mark.parametrize("code", CHANGES)
def test_a_node_is_changed_into_each_of_its_partners(code):
    assert [random_faults.changed(code, site)[1] for site in random_faults.sites(code)] == CHANGES[code]


@pytest.mark.parametrize("code", ["a ** b", "a | b", "'text'", "None", "f(a)", "sqrt(a, b)"])
def test_what_has_no_partner_stays(code):
    assert random_faults.sites(code) == []


def test_random_faults_are_repeatable_different_and_of_the_core(texts):
    tests = project_texts(ROOT, ("tests",))
    faults, again, other = (random_faults.drawn(texts, tests, 40, seed) for seed in (1, 1, 2))
    assert faults == again != other
    assert len({fault.change.text for fault in faults}) == 40
    assert all(fault.change.file.startswith(random_faults.CORE) and fault.tests for fault in faults)
    assert all(ast.dump(ast.parse(f.change.text)) != ast.dump(ast.parse(texts[f.change.file])) for f in faults)


def test_an_edit_leaves_the_other_random_faults_as_they_were(texts):
    """The same changes are drawn after a module has got new lines with sites of their own, but for those that fell out for them."""
    few = {file: texts[file] for file in ("solvers/grids.py", "solvers/wiener.py", "sde_diffusion/sde/vp.py")}
    edited = few | {"solvers/grids.py": f"FIRST = 1 + 2\n\n{few['solvers/grids.py']}"}
    before, after = (
        {re.sub(r":\d+: ", ": ", fault.story) for fault in random_faults.drawn(some, {}, 60, 1)}
        for some in (few, edited)
    )
    assert len(before - after) <= 4


def test_the_tests_of_a_module_are_those_that_import_it():
    texts = {
        "s/a.py": "def f(): ...",
        "s/b.py": "from s.a import f\n\ndef g(): ...",
        "s/__init__.py": "from s.a import f",
    }
    tests = {"tests/test_1.py": "from s import f", "tests/test_2.py": "import s.b", "tests/helper.py": "import s.a"}
    assert relevant_tests("s/a.py", texts, tests) == ["tests/test_1.py"]
    assert relevant_tests("s/b.py", texts, tests) == ["tests/test_2.py"]
    del tests["tests/test_1.py"]
    assert relevant_tests("s/a.py", texts, tests) == ["tests/test_2.py"]


def test_a_module_that_no_test_imports_is_asked_for_through_its_users_too():
    """A test of all implementations in its package comes after those of its users, and does not end the search."""
    texts = {"s/p/inner.py": "def f(): ...", "s/p/law.py": "from s.p.inner import f\n\nclass Law: ..."}
    every = "import sde_diffusion.plugins.implementations\nimport sde_diffusion.plugins\nimport s.p"
    tests = {"tests/p/test_law.py": "from s.p import Law", "tests/a/test_all.py": every}
    assert relevant_tests("s/p/inner.py", texts, tests) == ["tests/p/test_law.py", "tests/a/test_all.py"]
    del tests["tests/p/test_law.py"]
    assert relevant_tests("s/p/inner.py", texts, tests) == ["tests/a/test_all.py"]


def test_every_survivor_of_the_results_has_its_reason():
    rows = json.loads((ROOT / "benchmarks/results/random_faults.json").read_text(encoding="utf-8"))["rows"]
    assert rows
    assert unexplained(rows) == []


def test_what_makes_no_difference_is_a_change_of_the_present_sources(texts):
    for reason in REASONS:
        text = texts[reason.partition(": ")[0]]
        stories = {random_faults.changed(text, site)[0].partition(": ")[2] for site in random_faults.sites(text)}
        assert reason.partition(": ")[2] in stories


def test_what_lists_a_packages_classes_is_there():
    for name in DISCOVERY:
        module, _, function = name.rpartition(".")
        assert hasattr(importlib.import_module(module), function), name


@pytest.mark.parametrize("every", [pytest.param(12, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.weekly)])
def test_every_fault_is_caught(every):
    """The script as anybody would run it: CI tries one fault of twelve, .ci/weekly all of them."""
    asked = ["--every", str(every), "--jobs", "2", "--timeout", "300", "--json"]
    command = [sys.executable, "-m", "tests.mutations.run", *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode in (0, 1), done.stderr
    verdicts = {outcome["name"]: outcome["verdict"] for outcome in json.loads(done.stdout)}
    assert {fault.name for fault in FAULTS[::every]} <= verdicts.keys()
    assert {name: verdict for name, verdict in verdicts.items() if verdict not in ("caught", "passes")} == {}
    assert done.returncode == 0
