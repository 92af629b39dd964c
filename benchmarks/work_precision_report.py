"""The table and the plot of the work-precision benchmark, from its JSON alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

OURS = "default rule"
POPULAR = {
    "DPM-Solver++ 2M, Karras": "k-diffusion dpmpp_2m, Karras",
    "EDM Heun, Karras": "k-diffusion heun, Karras",
}
"""Shown beside the envelope: what most people run."""

Errors = dict[str, dict[str, float]]


def write_report(path: Path) -> str:
    """Writes the table and the plot beside the JSON; returns the table."""
    found = json.loads(path.read_text())
    text = table(found)
    path.with_suffix(".md").write_text(text)
    plot(found["cells"], path.with_suffix(".png"))
    return text


def peers_of(errors: Errors) -> Errors:
    return {name: row for name, row in errors.items() if name != OURS}


def best(errors: Errors, nfe: str) -> tuple[float, str]:
    """The smallest error among the peers at a budget, and whose."""
    at = [(row[nfe], name) for name, row in peers_of(errors).items() if sound(row.get(nfe))]
    return min(at) if at else (math.nan, "none")


def sound(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def ratio(cell: dict[str, Any], error: float, nfe: str) -> float:
    """An error over the best peer's. Shares get half a trajectory added to both, so that none wrong is not 0/0."""
    other = best(cell["errors"], nfe)[0]
    half = 0.5 / cell["points"] if cell["metric"] == "wrong_image" else 0.0
    return (error + half) / (other + half)


def mean_ratio(cells: Iterable[dict[str, Any]], name: str = OURS) -> float:
    """The geometric mean of a setting's ratios over cells and budgets; infinite where the setting fails."""
    logs = []
    for cell in cells:
        row = cell["errors"].get(name, {})
        for nfe in cell["errors"][OURS]:
            value = row.get(nfe)
            logs.append(math.log(ratio(cell, value, nfe)) if sound(value) else math.inf)
    return math.exp(sum(logs) / len(logs))


def single_peer(cells: list[dict[str, Any]]) -> tuple[float, str]:
    """The peer setting with the smallest mean ratio, among those that can run at every budget."""
    names = set.intersection(*(set(peers_of(cell["errors"])) for cell in cells))
    return min((mean_ratio(cells, name), name) for name in names)


def table(found: dict[str, Any]) -> str:
    """Markdown: the summary, then a table for each problem and range."""
    cells = found["cells"]
    lines = ["# Work-precision: distance to the exact flow end point", "", *summary(cells), ""]
    for key, cell in cells.items():
        lines += [
            f"## {key.replace(' | ', ', ')}: {cell['metric']}, {cell['points']} points, seed {cell['seed']}",
            "",
            *rows(cell),
            "",
        ]
    lines += [f"Versions: {', '.join(f'{k} {v}' for k, v in found['versions'].items() if v)}.", ""]
    return "\n".join(lines)


def summary(cells: dict[str, Any]) -> list[str]:
    """Geometric means over all budgets of ours over the best peer, and of the best single peer setting."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for key, cell in cells.items():
        problem, span = key.split(" | ")
        kind = f"{problem.split(':')[0]} problems" if ":" in problem else "named problems"
        for group in (f"{kind}, {span}", f"{kind}, both ranges", "all problems, both ranges", key):
            groups.setdefault(group, []).append(cell)
    lines = ["| geometric mean over 9 budgets of error / best peer's | default rule | best single peer setting | |",
             "|---|---|---|---|"]  # fmt: skip
    for group, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        value, name = single_peer(members)
        lines.append(f"| {group.replace(' | ', ', ')} | {mean_ratio(members):.2f} | {value:.2f} | {name} |")
    return lines


def rows(cell: dict[str, Any]) -> list[str]:
    """One line a budget."""
    errors = cell["errors"]
    head = ["NFE", OURS, "best peer", "ratio", "which", *POPULAR]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for nfe, mine in errors[OURS].items():
        value, name = best(errors, nfe)
        popular = [errors.get(setting, {}).get(nfe) for setting in POPULAR.values()]
        shown = [f"{v:.2e}" if v is not None and math.isfinite(v) else "-" for v in (mine, value)]
        others = [f"{v:.2e}" if v is not None and math.isfinite(v) else "-" for v in popular]
        lines.append(f"| {nfe} | {' | '.join(shown)} | {ratio(cell, mine, nfe):.2f} | {name} | {' | '.join(others)} |")
    return lines


def plot(cells: dict[str, Any], path: Path) -> None:
    """A panel for each problem and range: ours, the envelope of the peers, every peer setting in grey."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = 4
    lines = math.ceil(len(cells) / columns)
    figure, axes = plt.subplots(lines, columns, figsize=(4.2 * columns, 3.4 * lines), squeeze=False)
    for axis, (key, cell) in zip(axes.flat, cells.items(), strict=False):
        panel(axis, key, cell)
    for axis in axes.flat[len(cells) :]:
        axis.set_axis_off()
    axes.flat[0].legend(fontsize=8, loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def panel(axis: Any, key: str, cell: dict[str, Any]) -> None:
    """Error against denoiser calls, both logarithmic."""
    errors = cell["errors"]
    budgets = list(errors[OURS])
    for i, row in enumerate(peers_of(errors).values()):
        _curve(axis, row, budgets, color="0.85", lw=0.6, zorder=1, label=None if i else "every peer setting")
    envelope = {nfe: best(errors, nfe)[0] for nfe in budgets}
    _curve(axis, envelope, budgets, color="tab:blue", marker="o", ms=4, label="best peer of each budget")
    for (label, name), color in zip(POPULAR.items(), ("tab:green", "tab:orange"), strict=True):
        _curve(axis, errors.get(name, {}), budgets, color=color, marker=".", lw=1, label=label)
    _curve(axis, errors[OURS], budgets, color="tab:red", marker="s", ms=4, label="our default rule")
    axis.set(
        xscale="log",
        yscale="log",
        title=key.replace(" | ", ", "),
        xlabel="denoiser calls",
        ylabel=cell["metric"].replace("_", " "),
    )
    low = min(min(filter(None, errors[OURS].values()), default=1), min(filter(None, envelope.values()), default=1))
    axis.set_ylim(low / 2, 3)
    axis.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    axis.minorticks_off()


def _curve(axis: Any, row: dict[str, float], budgets: list[str], **style: Any) -> None:
    points = [(int(nfe), row[nfe]) for nfe in budgets if sound(row.get(nfe)) and row[nfe] > 0]
    axis.plot([n for n, _ in points], [e for _, e in points], **style)
