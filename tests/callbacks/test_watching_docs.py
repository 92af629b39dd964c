"""The example of docs/progress.md runs, and leaves what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from sde_diffusion.io import json_lines as metrics_file

PAGE = Path(__file__).parents[2] / "docs" / "progress.md"


def test_the_example_of_the_page(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {"__name__": "example"})
    lines = metrics_file.read(tmp_path / "runs/plane/metrics.jsonl")
    assert [line["step"] for line in lines if "gap" in line] == [10, 20, 30, 40]
    by_step = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert all(line["gap"] == line["held_out_loss"] - by_step[line["step"]] for line in lines if "gap" in line)
    names = {path.name for path in (tmp_path / "runs/plane/pictures").iterdir()}
    assert names == {"step-000010.png", "step-000020.png", "step-000040.png", "film.gif", "film.png"}


def test_every_picture_of_the_page_is_there():
    found = re.findall(r"!\[.*?\]\((.*?)\)", PAGE.read_text(encoding="utf-8"))
    assert len(found) == 3
    assert all((PAGE.parent / path).is_file() for path in found)
