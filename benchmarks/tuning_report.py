"""The summary, the table and the plot of the tuning benchmark. The summary has one row a cell and budget (`Row`)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from benchmarks.output import RESULTS, load_summary, save_picture
from benchmarks.work_precision_report import OURS, best, curve, draw_best, geometric_mean, median, number, ratio, shown

TUNED = "tuned"


class Row(NamedTuple):
    """Errors at one budget, None for a failure; then the seconds of the tuning, its iterations and held-out distances."""

    nfe: int
    tuned: float | None
    ours: float | None
    best: float | None
    which: str
    median: float | None
    seconds: float
    iterations: int
    held_out_before: float
    held_out_after: float


def summarised(cell: dict[str, Any]) -> dict[str, Any]:
    """A raw cell with one row a budget in the place of every setting's errors and every tuning's record."""
    record = next(iter(cell["records"].values()))
    facts = {name: cell[name] for name in ("points", "metric", "seed")}
    return {**facts, "tuned_on": record["trained_on_samples"][1], "rows": [row_of(cell, nfe) for nfe in cell["tuned"]]}


def row_of(cell: dict[str, Any], nfe: str) -> Row:
    errors, record = cell["errors"], cell["records"][nfe]
    mine = number(cell["tuned"][nfe]), number(errors[OURS][nfe])
    spent = cell["tuning_seconds"][nfe], record["iterations"]
    held_out = record["held_out_distance_before"], record["held_out_distance_after"]
    return Row(int(nfe), *mine, *best(errors, nfe), median(errors, nfe), *spent, *held_out)


def rows_of(cell: dict[str, Any]) -> list[Row]:
    return [Row(*row) for row in cell["rows"]]


def write_report(name: str = "tuning") -> str:
    """Write the table and the plot of the summary; return the table."""
    found = load_summary(name)
    text = table(found)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    plot(found["cells"], name)
    return text


def table(found: dict[str, Any]) -> str:
    """Markdown: the summary, then a table for each problem and range."""
    cells = found["cells"]
    lines = ["# Tuned solvers: distance to the exact flow end point", "", *summary(cells), ""]
    for key, cell in cells.items():
        lines += [
            f"## {key.replace(' | ', ', ')}: {cell['metric']}, {cell['points']} points, seed {cell['seed']}; "
            f"tuned on {cell['tuned_on']} trajectories",
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
            pairs = [(cell, row) for cell in members for row in rows_of(cell)]
            tuned = geometric_mean(ratio(cell, row.tuned, row.best) for cell, row in pairs)
            ours = geometric_mean(ratio(cell, row.ours, row.best) for cell, row in pairs)
            seconds = sum(row.seconds for _, row in pairs)
            lines.append(f"| {group.replace(' | ', ', ')} | {tuned:.3f} | {ours:.2f} | {seconds:.0f} |")
    return lines


def rows(cell: dict[str, Any]) -> list[str]:
    """One line a budget."""
    head = ["NFE", TUNED, OURS, "best peer", "tuned / best peer", "tuned / default", "which peer", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows_of(cell):
        errors = " | ".join(shown(error) for error in (row.tuned, row.ours, row.best))
        over = f"{row.tuned / row.ours:.3f}" if row.tuned is not None and row.ours else "-"
        beside = f"{ratio(cell, row.tuned, row.best):.3f} | {over}"
        lines.append(f"| {row.nfe} | {errors} | {beside} | {row.which} | {row.seconds:.0f} |")
    return lines


def plot(cells: dict[str, Any], name: str) -> None:
    """A panel for each problem and range: tuned, untuned, the best peer of each budget, the median of the peers."""
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
    save_picture(figure, name)


def panel(axis: Any, key: str, cell: dict[str, Any]) -> None:
    """Error against denoiser calls, both logarithmic."""
    found = rows_of(cell)
    budgets = [row.nfe for row in found]
    curve(axis, [(row.nfe, row.median) for row in found], color="0.7", lw=1, label="median of the peer settings")
    draw_best(axis, found)
    curve(axis, [(row.nfe, row.ours) for row in found], color="tab:orange", marker=".", label="our default rule")
    curve(axis, [(row.nfe, row.tuned) for row in found], color="tab:red", marker="s", ms=4, label="tuned")
    axis.set(xscale="log", yscale="log", title=key.replace(" | ", ", "), xlabel="denoiser calls")
    axis.set_ylabel(cell["metric"].replace("_", " "))
    axis.set_ylim(min((e for row in found for e in (row.tuned, row.best) if e), default=1e-3) / 2, 3)
    axis.set_xticks(budgets, [str(nfe) for nfe in budgets])
    axis.minorticks_off()
