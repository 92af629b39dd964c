"""The table and the plot of the tuning benchmark, from its JSON alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.work_precision_report import OURS, best, peers_of, ratio, sound

TUNED = "tuned"


def write_report(path: Path) -> str:
    """Writes the table and the plot beside the JSON; returns the table."""
    found = json.loads(path.read_text())
    text = table(found)
    path.with_suffix(".md").write_text(text)
    plot(found["cells"], path.with_suffix(".png"))
    return text


def ratios(cell: dict[str, Any], row: dict[str, float]) -> list[float]:
    """A row's errors over the best peer's at each budget; infinite where it failed."""
    return [ratio(cell, row[nfe], nfe) if sound(row[nfe]) else math.inf for nfe in cell["tuned"]]


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def table(found: dict[str, Any]) -> str:
    """Markdown: the summary, then a table for each problem and range."""
    cells = found["cells"]
    lines = ["# Tuned solvers: distance to the exact flow end point", "", *summary(cells), ""]
    for key, cell in cells.items():
        record = next(iter(cell["records"].values()))
        lines += [
            f"## {key.replace(' | ', ', ')}: {cell['metric']}, {cell['points']} points, seed {cell['seed']}; "
            f"tuned on {record['trained_on_samples'][1]} trajectories",
            "",
            *rows(cell),
            "",
        ]
    lines += [f"Versions: {', '.join(f'{k} {v}' for k, v in found['versions'].items() if v)}.", ""]
    return "\n".join(lines)


def summary(cells: dict[str, Any]) -> list[str]:
    """Geometric means over the budgets of the errors over the best peer's."""
    named = [cell for key, cell in cells.items() if ":" not in key]
    groups = {"the named problems here": named, **{key: [cell] for key, cell in cells.items()}}
    lines = ["| geometric mean of error / best peer's | tuned | default rule | seconds of tuning, all budgets |",
             "|---|---|---|---|"]  # fmt: skip
    for group, members in groups.items():
        if members:
            values = [geometric_mean(v for c in members for v in ratios(c, row(c))) for row in (_tuned, _ours)]
            seconds = sum(sum(cell["tuning_seconds"].values()) for cell in members)
            lines.append(f"| {group.replace(' | ', ', ')} | {values[0]:.3f} | {values[1]:.2f} | {seconds:.0f} |")
    return lines


def _tuned(cell: dict[str, Any]) -> dict[str, float]:
    return cell[TUNED]


def _ours(cell: dict[str, Any]) -> dict[str, float]:
    return cell["errors"][OURS]


def rows(cell: dict[str, Any]) -> list[str]:
    """One line a budget."""
    head = ["NFE", TUNED, OURS, "best peer", "tuned / best peer", "tuned / default", "which peer", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for nfe, mine in cell["tuned"].items():
        (value, name), untuned = best(cell["errors"], nfe), cell["errors"][OURS][nfe]
        shown = " | ".join(f"{error:.2e}" for error in (mine, untuned, value))
        over = f"{mine / untuned:.3f}" if untuned else "-"
        seconds = cell["tuning_seconds"][nfe]
        lines.append(f"| {nfe} | {shown} | {ratio(cell, mine, nfe):.3f} | {over} | {name} | {seconds:.0f} |")
    return lines


def plot(cells: dict[str, Any], path: Path) -> None:
    """A panel for each problem and range: tuned, untuned, the envelope of the peers, every peer setting in grey."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(cells))
    lines = math.ceil(len(cells) / columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.2 * columns, 3.4 * lines), squeeze=False)
    for axis, (key, cell) in zip(axes.flat, cells.items(), strict=False):
        panel(axis, key, cell)
    for axis in axes.flat[len(cells) :]:
        axis.set_axis_off()
    axes.flat[0].legend(fontsize=8, loc="upper right", framealpha=0.95)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def panel(axis: Any, key: str, cell: dict[str, Any]) -> None:
    """Error against denoiser calls, both logarithmic."""
    budgets = list(cell["tuned"])
    for i, row in enumerate(peers_of(cell["errors"]).values()):
        _curve(axis, row, budgets, color="0.85", lw=0.6, zorder=1, label=None if i else "every peer setting")
    envelope = {nfe: best(cell["errors"], nfe)[0] for nfe in budgets}
    _curve(axis, envelope, budgets, color="tab:blue", marker="o", ms=4, label="best peer of each budget")
    _curve(axis, cell["errors"][OURS], budgets, color="tab:orange", marker=".", label="our default rule")
    _curve(axis, cell["tuned"], budgets, color="tab:red", marker="s", ms=4, label="tuned")
    axis.set(xscale="log", yscale="log", title=key.replace(" | ", ", "), xlabel="denoiser calls")
    axis.set_ylabel(cell["metric"].replace("_", " "))
    axis.set_ylim(min(filter(None, [*cell["tuned"].values(), *envelope.values()]), default=1e-3) / 2, 3)
    axis.set_xticks([int(nfe) for nfe in budgets], budgets)
    axis.minorticks_off()


def _curve(axis: Any, row: dict[str, float], budgets: list[str], **style: Any) -> None:
    points = [(int(nfe), row[nfe]) for nfe in budgets if sound(row.get(nfe)) and row[nfe] > 0]
    axis.plot([n for n, _ in points], [e for _, e in points], **style)
