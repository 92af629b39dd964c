"""The table and the plot of the adaptive benchmark, from its JSON alone."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LEVELS = (1e-2, 3e-3, 1e-3, 4e-4, 1e-4, 1e-5, 1e-6)
GOAL = 1.2
Curve = list[dict[str, float]]


def cost_at(curve: Curve, error: float) -> float:
    """Where the curve comes to stay below an error, interpolated in logarithms; nan where it does not get there."""
    points = sorted((p["cost"], p["error"] if math.isfinite(p["error"]) else math.inf) for p in curve)
    if not points:
        return math.nan
    above = [i for i, (_, e) in enumerate(points) if e > error]
    if not above:
        return points[0][0]
    if above[-1] + 1 == len(points):
        return math.nan
    (c0, e0), (c1, e1) = points[above[-1]], points[above[-1] + 1]
    if math.isinf(e0):
        return c1
    share = math.log(e0 / error) / math.log(e0 / e1)
    return math.exp((1 - share) * math.log(c0) + share * math.log(c1))


def ratios(flow: dict[str, Any], error: float) -> tuple[float, float, float]:
    """Cost over that of the uniform grid and of the best grid; torchdiffeq's over the uniform grid's."""
    mine = cost_at(flow["adaptive"], error)
    grids = {name: cost_at(curve, error) for name, curve in flow["fixed"].items()}
    best = min((c for c in grids.values() if math.isfinite(c)), default=math.nan)
    peer = cost_at(flow["torchdiffeq"], error) if "torchdiffeq" in flow else math.nan
    return mine / grids["uniform"], mine / best, peer / grids["uniform"]


def mean(values: Iterable[float]) -> float:
    """The geometric mean of what is known."""
    known = [math.log(v) for v in values if math.isfinite(v)]
    return math.exp(sum(known) / len(known)) if known else math.nan


def largest(values: Iterable[float]) -> float:
    return max((v for v in values if math.isfinite(v)), default=math.nan)


def write_report(path: Path) -> str:
    """Writes the tables and the plot beside the JSON; returns the tables."""
    found = json.loads(path.read_text(encoding="utf-8"))
    text = "\n".join(lines(found))
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    plot(found["flows"], path.with_suffix(".png"))
    return text


def lines(found: dict[str, Any]) -> list[str]:
    flows = found["flows"]
    return [
        "# Adaptive steps beside fixed grids",
        "",
        f"`{found['command']}`, {found['points']} points a problem, seed {found['seed']}, {found['machine']}",
        "",
        "Cost (mean field evaluations for a sample) over that of a grid of the same pair that is uniform in the same "
        "clock, at equal error: below 1 the adaptive solver is cheaper. Geometric mean over problems and clocks, the "
        "largest in brackets; then against the best of three grids, picked afterwards for each error. "
        "torchdiffeq's mean leaves out the flows that it refuses: " + refused(flows) + ".",
        "",
        *summary(flows),
        "",
        "## Dopri5, flow by flow",
        "",
        *by_flow(flows),
        "",
        "## What the samples of a batch cost: Dopri5, tol = 1e-5",
        "",
        *spread(flows),
        "",
    ]


def refused(flows: dict[str, Any]) -> str:
    """The flows of which torchdiffeq has no point: its first step leaves the span."""
    return ", ".join(k.replace(" | ", " ") for k, f in flows.items() if f["Dopri5"].get("torchdiffeq") == []) or "none"


def head(*columns: str) -> list[str]:
    return ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]


def summary(flows: dict[str, Any]) -> list[str]:
    rows = head("pair", "problems", "against", *(f"{e:.0e}" for e in LEVELS))
    for pair in next(iter(flows.values())):
        for group, members in (("two, ring8", ("two", "ring8")), ("unequal", ("unequal",))):
            chosen = [f[pair] for key, f in flows.items() if key.split(" | ")[0] in members]
            for i, against in enumerate(("uniform grid", "best grid", "torchdiffeq against uniform")):
                cells = [[ratios(flow, e)[i] for flow in chosen] for e in LEVELS]
                if any(math.isfinite(value) for cell in cells for value in cell):
                    shown = " | ".join(f"{mean(cell):.2f} ({largest(cell):.2f})" for cell in cells)
                    rows.append(f"| {pair} | {group} | {against} | {shown} |")
    return rows


def by_flow(flows: dict[str, Any]) -> list[str]:
    rows = head("problem", "range", "clock", *(f"{e:.0e}" for e in LEVELS))
    for key, flow in flows.items():
        shown = [ratios(flow["Dopri5"], e)[0] for e in LEVELS]
        rows.append(f"| {key} | " + " | ".join(_cell(v) for v in shown) + " |")
    return rows


def _cell(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"**{value:.2f}**" if value > GOAL else f"{value:.2f}"


def spread(flows: dict[str, Any]) -> list[str]:
    rows = head("problem", "range", "clock", "mean", "least", "most", "rejected", "error", "estimated")
    for key, flow in flows.items():
        at = min(flow["Dopri5"]["adaptive"], key=lambda p: abs(math.log(p["tol"] / 1e-5)))
        rows.append(
            f"| {key} | {at['cost']:.0f} | {at['least']:.0f} | {at['most']:.0f} | {at['rejected']:.1%} | "
            f"{at['error']:.1e} | {at['estimate']:.1e} |"
        )
    return rows


def plot(flows: dict[str, Any], path: Path) -> None:
    """A panel for each problem and range, Dopri5: solid adaptive, dashed fixed and uniform, a colour for each clock."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels: dict[str, dict[str, Any]] = {}
    for key, flow in flows.items():
        problem, span, form = key.split(" | ")
        panels.setdefault(f"{problem}, {span}", {})[form] = flow["Dopri5"]
    rows = math.ceil(len(panels) / 2)
    figure, axes = plt.subplots(rows, 2, figsize=(11, 3.8 * rows), squeeze=False)
    for axis, (title, forms) in zip(axes.flat, panels.items(), strict=False):
        for colour, (form, flow) in enumerate(forms.items()):
            _line(axis, flow["adaptive"], color=f"C{colour}", marker="o", ms=3, label=f"{form}: adaptive")
            _line(axis, flow["fixed"]["uniform"], color=f"C{colour}", ls="--", lw=1, label=f"{form}: uniform grid")
        axis.set(xscale="log", yscale="log", title=title, ylim=(3e-7, 1), xlim=(10, 900))
        axis.set(xlabel="field evaluations for a sample, mean", ylabel="RMS distance to the exact end point")
        axis.legend(fontsize=7)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle("Dopri5: adaptive beside fixed")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(axis: Any, curve: Curve, **style: Any) -> None:
    points = sorted((p["cost"], p["error"]) for p in curve if math.isfinite(p["error"]))
    axis.plot([c for c, _ in points], [e for _, e in points], **style)
