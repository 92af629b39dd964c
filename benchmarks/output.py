"""Where benchmarks write what they measured.

`results/` is in git: NAME.md, the table; NAME.json, a summary, one row a line and below 50 kB; NAME.png, a small picture.
`raw/` is ignored by git: NAME.json.gz, every number of the runs on this machine.
"""

from __future__ import annotations

import gzip
import json
import math
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"
RAW = Path(__file__).parent / "raw"
LARGEST_SUMMARY = 50_000
"""Bytes."""
WIDTH = 160
"""Characters up to which nested values share a line."""


def save_table(name: str, title: str, columns: list[str], rows: list[list[str]], module: str = "", **facts) -> None:
    """Write a table as Markdown and JSON, with the machine and the command that made it (`name` by default); print it."""
    about = origin(module or name)
    save_summary(name, {**about, **facts, "columns": columns, "rows": rows})
    write_table(name, title, columns, rows, about)


def write_table(name: str, title: str, columns: list[str], rows: list[list[str]], about: dict[str, Any]) -> None:
    """Write a table as Markdown alone, and print it; `about` is what `origin` returns."""
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *(f"| {' | '.join(row)} |" for row in rows)]
    head = f"# {title}\n\n`{about['command']}`, {about['machine']}\n\n"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def origin(module: str) -> dict[str, Any]:
    """The command and the machine."""
    import torch

    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    return {"command": f"python -m benchmarks.{module}", "machine": machine}


def save_summary(name: str, record: dict[str, Any], digits: int = 6, folder: Path | None = None) -> Path:
    """Write results/NAME.json, numbers to so many significant digits. Raises ValueError for a summary of more than 50 kB."""
    content, path = (laid_out(rounded(record, digits)) + "\n").encode(), (folder or RESULTS) / f"{name}.json"
    if len(content) > LARGEST_SUMMARY:
        raise ValueError(
            f"the summary {path.name} has {len(content)} bytes, expected at most {LARGEST_SUMMARY}; keep rows of cells alone "
            "and give the rest to save_raw"
        )
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def load_summary(name: str) -> dict[str, Any]:
    """The summary of earlier runs; empty where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save_raw(name: str, record: dict[str, Any]) -> Path:
    """Write raw/NAME.json.gz, all digits."""
    RAW.mkdir(exist_ok=True)
    path = RAW / f"{name}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(record).encode(), mtime=0))
    return path


def load_raw(name: str) -> dict[str, Any]:
    """The raw numbers of earlier runs on this machine; empty where there are none."""
    path = RAW / f"{name}.json.gz"
    return json.loads(gzip.decompress(path.read_bytes())) if path.exists() else {}


def save_picture(figure: Figure, name: str, dpi: int = 110) -> Path:
    """Write results/NAME.png with a palette of 256 colours where the difference is invisible, and close the figure."""
    import matplotlib.pyplot as plt

    from sde_diffusion.report.plots.style import save

    figure.set_dpi(dpi)
    path = save(figure, RESULTS / f"{name}.png")
    plt.close(figure)
    return path


def rounded(value: Any, digits: int) -> Any:
    """Every float in a nested value to so many significant digits."""
    if isinstance(value, dict):
        return {key: rounded(inner, digits) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner, digits) for inner in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) and math.isfinite(value) else value


def laid_out(value: Any, depth: int = 0) -> str:
    """JSON with one row a line: only what holds lists or dicts, and is longer than a line, is broken."""
    flat = json.dumps(value)
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if not any(isinstance(one, dict | list) for one in inner) or (depth and len(flat) <= WIDTH):
        return flat
    names = [f"{json.dumps(str(key))}: " for key in value] if isinstance(value, dict) else [""] * len(inner)
    lines = [" " * (depth + 1) + name + laid_out(one, depth + 1) for name, one in zip(names, inner, strict=True)]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return first + "\n" + ",\n".join(lines) + "\n" + " " * depth + last
