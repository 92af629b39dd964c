"""The summary, the tables and the plot of the adaptive benchmark.

The summary has one row a flow, pair and curve: the cost at which the curve falls below each error of LEVELS for good, null
where it does not get there; and for Dopri5 the run at TOL. Tables and plot are made from it alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from benchmarks.output import RESULTS, load_summary, save_picture

LEVELS = (1e-2, 3e-3, 1e-3, 4e-4, 1e-4, 1e-5, 1e-6)
GOAL = 1.2
TOL = 1e-5
"""Of the runs whose spread over the samples is shown."""
OURS, PEER = "adaptive", "torchdiffeq"
Curve = list[dict[str, float]]


def cost_at(curve: Curve, error: float) -> float:
    """Where the curve falls below an error for good, interpolated in logarithms; nan where it does not get there."""
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


def summarised(flow: dict[str, Any]) -> dict[str, Any]:
    """The costs of a raw flow's curves, for each pair, and Dopri5's run at TOL."""
    pairs = {name: {curve: costs(points) for curve, points in _curves(pair)} for name, pair in flow.items()}
    at = min(flow["Dopri5"][OURS], key=lambda p: abs(math.log(p["tol"] / TOL)))
    return {**pairs, "spread": {name: at[name] for name in ("cost", "least", "most", "rejected", "error", "estimate")}}


def _curves(pair: dict[str, Any]) -> Iterable[tuple[str, Curve]]:
    yield OURS, pair[OURS]
    yield from pair["fixed"].items()
    if PEER in pair:
        yield PEER, pair[PEER]


def costs(curve: Curve) -> list[float | None]:
    """The cost at each of LEVELS; no number at all for a curve without a point."""
    at = [cost_at(curve, error) for error in LEVELS] if curve else []
    return [cost if math.isfinite(cost) else None for cost in at]


def cost(pair: dict[str, Any], curve: str, level: int) -> float:
    """The cost of a curve at LEVELS[level]; nan where there is none."""
    at = pair.get(curve)
    found = at[level] if at else None
    return math.nan if found is None else found


def ratios(pair: dict[str, Any], level: int) -> tuple[float, float, float]:
    """Cost over that of the uniform grid and of the best grid; torchdiffeq's over the uniform grid's."""
    mine, peer, uniform = cost(pair, OURS, level), cost(pair, PEER, level), cost(pair, "uniform", level)
    grids = (cost(pair, name, level) for name in pair if name not in (OURS, PEER))
    best = min((c for c in grids if math.isfinite(c)), default=math.nan)
    return mine / uniform, mine / best, peer / uniform


def mean(values: Iterable[float]) -> float:
    """The geometric mean of what is known."""
    known = [math.log(v) for v in values if math.isfinite(v)]
    return math.exp(sum(known) / len(known)) if known else math.nan


def largest(values: Iterable[float]) -> float:
    return max((v for v in values if math.isfinite(v)), default=math.nan)


def write_report(name: str = "adaptive") -> str:
    """Write the tables and the plot of the summary; return the tables."""
    found = load_summary(name)
    text = "\n".join(lines(found))
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    plot(found["flows"], name)
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
    return ", ".join(k.replace(" | ", " ") for k, f in flows.items() if f["Dopri5"].get(PEER) == []) or "none"


def head(*columns: str) -> list[str]:
    return ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]


def summary(flows: dict[str, Any]) -> list[str]:
    rows = head("pair", "problems", "against", *(f"{e:.0e}" for e in LEVELS))
    for pair in (name for name in next(iter(flows.values())) if name != "spread"):
        for group, members in (("two, ring8", ("two", "ring8")), ("unequal", ("unequal",))):
            chosen = [f[pair] for key, f in flows.items() if key.split(" | ")[0] in members]
            for i, against in enumerate(("uniform grid", "best grid", "torchdiffeq against uniform")):
                cells = [[ratios(flow, level)[i] for flow in chosen] for level in range(len(LEVELS))]
                if any(math.isfinite(value) for cell in cells for value in cell):
                    shown = " | ".join(f"{mean(cell):.2f} ({largest(cell):.2f})" for cell in cells)
                    rows.append(f"| {pair} | {group} | {against} | {shown} |")
    return rows


def by_flow(flows: dict[str, Any]) -> list[str]:
    rows = head("problem", "range", "clock", *(f"{e:.0e}" for e in LEVELS))
    for key, flow in flows.items():
        shown = [ratios(flow["Dopri5"], level)[0] for level in range(len(LEVELS))]
        rows.append(f"| {key} | " + " | ".join(_cell(v) for v in shown) + " |")
    return rows


def _cell(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"**{value:.2f}**" if value > GOAL else f"{value:.2f}"


def spread(flows: dict[str, Any]) -> list[str]:
    rows = head("problem", "range", "clock", "mean", "least", "most", "rejected", "error", "estimated")
    for key, flow in flows.items():
        at = flow["spread"]
        rows.append(
            f"| {key} | {at['cost']:.0f} | {at['least']:.0f} | {at['most']:.0f} | {at['rejected']:.1%} | "
            f"{at['error']:.1e} | {at['estimate']:.1e} |"
        )
    return rows


def plot(flows: dict[str, Any], name: str) -> None:
    """A panel for each problem and range, Dopri5: solid adaptive, dashed fixed and uniform, a colour for each time variable."""
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
            _line(axis, flow[OURS], color=f"C{colour}", marker="o", ms=3, label=f"{form}: adaptive")
            _line(axis, flow["uniform"], color=f"C{colour}", ls="--", lw=1, label=f"{form}: uniform grid")
        axis.set(xscale="log", yscale="log", title=title, ylim=(5e-7, 2e-2), xlim=(10, 900))
        axis.set(xlabel="field evaluations for a sample, mean", ylabel="RMS distance to the exact end point")
        axis.legend(fontsize=7)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    figure.suptitle("Dopri5: adaptive beside fixed")
    figure.tight_layout()
    save_picture(figure, name)


def _line(axis: Any, costs: list[float | None], **style: Any) -> None:
    known = [(c, error) for c, error in zip(costs, LEVELS, strict=False) if c is not None]
    axis.plot([c for c, _ in known], [error for _, error in known], **style)
