"""Both ends of the dependency ranges, .ci/constraints-*.txt: the lowest are pyproject's own bounds, the newest lie within them."""

from __future__ import annotations

import tomllib
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.test_house import ROOT

CI = (ROOT / ".ci/run").read_text(encoding="utf-8")


@cache
def bounds() -> dict[str, str]:
    """Name -> lower bound of what a plain installation and the tests need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    found = {}
    for one in map(Requirement, wanted):
        (bound,) = one.specifier
        assert bound.operator == ">=", f"{one} has another kind of bound than the constraints know"
        found[canonicalize_name(one.name)] = bound.version
    return found


def pinned(end: str) -> dict[str, str]:
    """Name -> version of a constraints file, each an exact one."""
    lines = (ROOT / f".ci/constraints-{end}.txt").read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(next(iter(one.specifier)).operator == "==" for one in wanted)
    assert [one.name for one in wanted] == sorted({one.name for one in wanted})
    return {canonicalize_name(one.name): next(iter(one.specifier)).version for one in wanted}


def test_the_lowest_are_the_bounds():
    assert pinned("lowest") == bounds()


def test_the_newest_are_within_the_bounds():
    newest = pinned("newest")
    assert newest.keys() == bounds().keys()
    for name, version in newest.items():
        assert Version(version) >= Version(bounds()[name]), name


@pytest.mark.parametrize("end", ["lowest", "newest"])
def test_ci_resolves_them(end):
    assert f"resolve {end}" in CI


def test_versions_with_known_holes_are_out_of_range():
    """CVE-2024-34062 (tqdm's command line); CVE-2023-4863, CVE-2023-50447 and CVE-2024-28219 (pillow's readers of pictures)."""
    assert Version(bounds()["tqdm"]) >= Version("4.66.3")
    assert Version(bounds()["pillow"]) >= Version("10.3")
