"""Where benchmarks leave their tables: benchmarks/results/NAME.json and NAME.md, and the terminal."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def save_table(name: str, title: str, columns: list[str], rows: list[list[str]], module: str = "", **facts) -> None:
    """Print a table and write it as Markdown and JSON, with the machine and the command that made it (`name` by default)."""
    RESULTS.mkdir(exist_ok=True)
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "threads": torch.get_num_threads()}
    command = f"python -m benchmarks.{module or name}"
    record = {"command": command, "machine": machine, **facts, "columns": columns, "rows": rows}
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns), *(f"| {' | '.join(row)} |" for row in rows)]
    head = f"# {title}\n\n`{command}`, {machine}\n\n"
    (RESULTS / f"{name}.md").write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
