"""The summary, the tables and the plots of the work-precision benchmark.

The summary has one row a cell and budget (`Row`). A second one has, for each peer setting, the geometric mean of its ratios in
each cell: what the best single setting is picked from. Tables and plots are made from these two alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.output import RESULTS, load_summary, save_picture, save_summary

OURS = "default rule"
POPULAR = {
    "DPM-Solver++ 2M, Karras": "k-diffusion dpmpp_2m, Karras",
    "EDM Heun, Karras": "k-diffusion heun, Karras",
}
"""Shown beside the best peer: what most people run."""

Errors = dict[str, dict[str, float | None]]


class Row(NamedTuple):
    """The errors at one budget, None for a setting that has none: ours, the best peer's and whose, the peers' median, POPULAR's."""

    nfe: int
    ours: float | None
    best: float | None
    which: str
    median: float | None
    multistep: float | None
    heun: float | None


def summarised(cell: dict[str, Any]) -> dict[str, Any]:
    """A raw cell with one row a budget in the place of every setting's errors."""
    errors = cell["errors"]
    rows = [row_of(errors, nfe) for nfe in errors[OURS]]
    return {**{name: cell[name] for name in ("points", "metric", "seed", "seconds")}, "rows": rows}


def row_of(errors: Errors, nfe: str) -> Row:
    popular = (number(errors.get(name, {}).get(nfe)) for name in POPULAR.values())
    return Row(int(nfe), number(errors[OURS][nfe]), *best(errors, nfe), median(errors, nfe), *popular)


def peers_of(errors: Errors) -> Errors:
    return {name: row for name, row in errors.items() if name != OURS}


def best(errors: Errors, nfe: str) -> tuple[float | None, str]:
    """The smallest error among the peers at a budget, and whose."""
    at = [(value, name) for name, row in peers_of(errors).items() if (value := number(row.get(nfe))) is not None]
    return min(at) if at else (None, "none")


def median(errors: Errors, nfe: str) -> float | None:
    """The median error of the peer settings that have one."""
    at = [value for row in peers_of(errors).values() if (value := number(row.get(nfe))) is not None]
    return statistics.median(at) if at else None


def number(value: float | None) -> float | None:
    """None for what is not finite."""
    return value if value is not None and math.isfinite(value) else None


def half(cell: dict[str, Any]) -> float:
    """Half a trajectory, added to shares so that none wrong is not zero."""
    return 0.5 / cell["points"] if cell["metric"] == "wrong_image" else 0.0


def ratio(cell: dict[str, Any], error: float | None, other: float | None) -> float:
    """An error over the best peer's: infinite where there is no error, nan where there is no peer."""
    if other is None:
        return math.nan
    return math.inf if error is None else (error + half(cell)) / (other + half(cell))


def geometric_mean(values: Iterable[float]) -> float:
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def peer_ratios(cell: dict[str, Any]) -> dict[str, float]:
    """The geometric mean over the budgets of each peer setting's ratio, of a raw cell; settings that fail somewhere are left out."""
    errors, found = cell["errors"], {}
    others = {nfe: best(errors, nfe)[0] for nfe in errors[OURS]}
    for name, row in peers_of(errors).items():
        values = [ratio(cell, number(row.get(nfe)), other) for nfe, other in others.items()]
        if all(map(math.isfinite, values)):
            found[name] = geometric_mean(values)
    return found


def rows_of(cell: dict[str, Any]) -> list[Row]:
    return [Row(*row) for row in cell["rows"]]


def mean_ratio(cells: Iterable[dict[str, Any]]) -> float:
    """The geometric mean of our ratios over cells and budgets; infinite where the rule fails."""
    return geometric_mean(ratio(cell, row.ours, row.best) for cell in cells for row in rows_of(cell))


def single_peer(ratios: dict[str, dict[str, float]], keys: list[str]) -> tuple[float, str]:
    """The peer setting with the smallest mean ratio over some cells, among those that run everywhere."""
    found = [(geometric_mean(row[key] for key in keys), name) for name, row in ratios.items() if row.keys() >= {*keys}]
    return min(found, default=(math.nan, "none"))


def write_report(name: str = "work_precision") -> str:
    """Write the tables and the plots of the summaries; return the tables."""
    found, ratios = load_summary(name), load_peers(name)
    text = table(found, ratios)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    plot(found["cells"], name)
    plot_means(found["cells"], f"{name}_summary")
    return text


def load_peers(name: str) -> dict[str, dict[str, float]]:
    """The ratios of each peer setting in the cells in which it never failed."""
    found = load_summary(f"{name}_peers")
    rows = {setting: zip(found["cells"], row, strict=True) for setting, row in found.get("ratios", {}).items()}
    return {setting: {key: value for key, value in row if value is not None} for setting, row in rows.items()}


def save_peers(name: str, key: str, ratios: dict[str, float]) -> None:
    """Put one cell's ratios of all peer settings into their summary, which has a row a setting and a column a cell."""
    kept = load_peers(name)
    cells = sorted({key, *(cell for row in kept.values() for cell in row)})
    rows = {setting: {**kept.get(setting, {}), key: ratios.get(setting)} for setting in {**kept, **ratios}}
    table = {setting: [row.get(cell) for cell in cells] for setting, row in rows.items()}
    save_summary(f"{name}_peers", {"cells": cells, "ratios": table}, digits=5)


def table(found: dict[str, Any], ratios: dict[str, dict[str, float]]) -> str:
    """Markdown: the summary, then a table for each problem and range."""
    cells = found["cells"]
    lines = ["# Work-precision: distance to the exact flow end point", "", *summary(cells, ratios), ""]
    for key, cell in cells.items():
        lines += [
            f"## {key.replace(' | ', ', ')}: {cell['metric']}, {cell['points']} points, seed {cell['seed']}",
            "",
            *rows(cell),
            "",
        ]
    lines += [f"Versions: {', '.join(f'{k} {v}' for k, v in found['versions'].items() if v)}.", ""]
    return "\n".join(lines)


def summary(cells: dict[str, Any], ratios: dict[str, dict[str, float]]) -> list[str]:
    """Geometric means over all budgets of ours over the best peer, and of the best single peer setting."""
    groups: dict[str, list[str]] = {}
    for key in cells:
        problem, span = key.split(" | ")
        kind = f"{problem.split(':')[0]} problems" if ":" in problem else "named problems"
        for group in (f"{kind}, {span}", f"{kind}, both ranges", "all problems, both ranges", key):
            groups.setdefault(group, []).append(key)
    lines = ["| geometric mean over 9 budgets of error / best peer's | default rule | best single peer setting | |",
             "|---|---|---|---|"]  # fmt: skip
    for group, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        (value, name), mine = single_peer(ratios, members), mean_ratio(cells[key] for key in members)
        lines.append(f"| {group.replace(' | ', ', ')} | {mine:.2f} | {value:.2f} | {name} |")
    return lines


def rows(cell: dict[str, Any]) -> list[str]:
    """One line a budget."""
    head = ["NFE", OURS, "best peer", "ratio", "which", *POPULAR]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows_of(cell):
        mine, other, *popular = (shown(value) for value in (row.ours, row.best, row.multistep, row.heun))
        over = f"{ratio(cell, row.ours, row.best):.2f}"
        lines.append(f"| {row.nfe} | {mine} | {other} | {over} | {row.which} | {' | '.join(popular)} |")
    return lines


def shown(error: float | None) -> str:
    return "-" if error is None else f"{error:.2e}"


def plot(cells: dict[str, Any], name: str) -> None:
    """A panel for each problem and range: ours, the best peer of each budget, the median of the peers, POPULAR."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(4, len(cells))
    lines = math.ceil(len(cells) / columns)
    figure, axes = plt.subplots(lines, columns, figsize=(3.4 * columns, 2.8 * lines), squeeze=False)
    for axis, (key, cell) in zip(axes.flat, cells.items(), strict=False):
        panel(axis, key, cell)
    for axis in axes.flat[len(cells) :]:
        axis.set_axis_off()
    free = axes.flat[len(cells) % axes.size]
    free.legend(*axes.flat[0].get_legend_handles_labels(), fontsize=8, loc="lower left")
    figure.tight_layout()
    save_picture(figure, name, dpi=90)


def panel(axis: Any, key: str, cell: dict[str, Any]) -> None:
    """Error against denoiser calls, both logarithmic."""
    found = rows_of(cell)
    curve(axis, [(row.nfe, row.median) for row in found], color="0.7", lw=1, label="median of the peer settings")
    draw_best(axis, found)
    draw_popular(axis, found)
    curve(axis, [(row.nfe, row.ours) for row in found], color="tab:red", marker="s", ms=4, label="our default rule")
    low = min((value for row in found for value in (row.ours, row.best) if value), default=1)
    axis.set(ylim=(low / 2, 3), title=key.replace(" | ", ", "), ylabel=cell["metric"].replace("_", " "))
    axes_of_budgets(axis)


def draw_best(axis: Any, found: Iterable[Any]) -> None:
    """The best peer's error against denoiser calls."""
    points = [(row.nfe, row.best) for row in found]
    curve(axis, points, color="tab:blue", marker="o", ms=4, label="best peer of each budget")


def draw_popular(axis: Any, found: list[Row]) -> None:
    multistep, heun = POPULAR
    curve(axis, [(row.nfe, row.multistep) for row in found], color="tab:green", marker=".", lw=1, label=multistep)
    curve(axis, [(row.nfe, row.heun) for row in found], color="tab:orange", marker=".", lw=1, label=heun)


def axes_of_budgets(axis: Any) -> None:
    """Logarithmic axes of denoiser calls and errors."""
    axis.set(xscale="log", yscale="log", xlabel="denoiser calls")
    axis.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    axis.minorticks_off()


def curve(axis: Any, points: list[tuple[int, float | None]], **style: Any) -> None:
    """A line through the points that have a logarithm."""
    known = [(nfe, error) for nfe, error in points if error]
    axis.plot([nfe for nfe, _ in known], [error for _, error in known], **style)


def mean_rows(cells: dict[str, Any]) -> list[Row]:
    """The geometric means of the errors over the cells, with half a trajectory added to shares; None where a cell has none."""

    def mean(rows: tuple[Row, ...], name: str) -> float | None:
        errors = [getattr(row, name) for row in rows]
        if any(error is None for error in errors):
            return None
        return geometric_mean(error + half(cell) for error, cell in zip(errors, cells.values(), strict=True))

    at = list(zip(*(rows_of(cell) for cell in cells.values()), strict=True))
    names = ("ours", "best", "median", "multistep", "heun")
    return [Row(nfe=rows[0].nfe, which="", **{name: mean(rows, name) for name in names}) for rows in at]


def plot_means(cells: dict[str, Any], name: str) -> None:
    """One panel: the geometric mean over all problems and ranges."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found, laws = mean_rows(cells), len({key.split(" | ")[0] for key in cells})
    figure, axis = plt.subplots(figsize=(6.4, 4.2))
    draw_popular(axis, found)
    draw_best(axis, found)
    curve(axis, [(row.nfe, row.ours) for row in found], color="tab:red", marker="s", ms=4, label="our default rule")
    axis.set(title=f"{laws} distributions, geometric mean", ylabel="error against the exact end point")
    axes_of_budgets(axis)
    axis.legend(fontsize=8, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    save_picture(figure, name)
