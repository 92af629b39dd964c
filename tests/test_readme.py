"""The README's Python runs, top to bottom, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_readmes_python_runs(monkeypatch, tmp_path):
    """And the claims it makes in comments hold: shapes, and the assertion on the exact law."""
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in BLOCKS:
        exec(compile(block, str(README), "exec"), space)
    assert [tuple(space[name].shape) for name in "abcdy"] == [(1024, 2)] * 4 + [(512, 1)]
    assert all(space[name].isfinite().all() for name in "abcdy")


def test_the_first_screen_is_there():
    assert len(BLOCKS) >= 3
    assert "annealed_langevin(sde, denoiser)" in BLOCKS[0]
