"""What the numerics are made of does not change: a dataclass of the core is frozen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = (
    "solvers",
    *(f"sde_diffusion/{name}" for name in ("sde", "reversal", "parameterization", "objectives", "exact", "guidance")),
)
FILES = [ROOT / "sde_diffusion/kernel.py", *(path for top in CORE for path in sorted((ROOT / top).rglob("*.py")))]


def changeable(code: str) -> list[str]:
    """The dataclasses of a module that are not frozen."""
    classes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ClassDef)]
    marks = [(node.name, ast.unparse(mark)) for node in classes for mark in node.decorator_list]
    return [name for name, mark in marks if "dataclass" in mark and "frozen=True" not in mark]


@pytest.mark.parametrize("mark", ["@dataclass", "@dataclass(slots=True)", "@dataclasses.dataclass(frozen=False)"])
def test_one_that_can_be_changed_is_found(mark):
    assert changeable(f"{mark}\nclass A:\n    x: int") == ["A"]
    assert changeable("@dataclass(frozen=True)\nclass A:\n    x: int") == []


def test_the_core_has_none():
    assert len(FILES) > 100
    assert {path.name: found for path in FILES if (found := changeable(path.read_text(encoding="utf-8")))} == {}
