"""The figures of a published recipe, measured again: each with its interval, beside real data, what is expected and the bill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.evaluation.metrics_report import REAL, SAMPLES, MetricsReport
from sde_diffusion.io.atomic import replace_file
from sde_diffusion.report.plain_data import report_json

if TYPE_CHECKING:
    from sde_diffusion.report.page import Block
    from sde_diffusion.report.table import Table

ACCURACY = "class accuracy"


@dataclass(frozen=True)
class Goal:
    """What is asked of a figure's ratio to real data: at most, or at least, a number."""

    figure: str
    most: float | None = None
    least: float | None = None

    def met(self, ratio: float) -> bool:
        """Whether a ratio is as asked."""
        return (self.most is None or ratio <= self.most) and (self.least is None or ratio >= self.least)

    def __str__(self) -> str:
        return f"at most {self.most:g}" if self.most is not None else f"at least {self.least:g}"


@dataclass(frozen=True)
class Figure:
    """One number of a reproduction.

    Attributes:
        name: of the metric and its features, such as "Frechet, classifier".
        value, low, high: the number with its 95% interval.
        n: how many samples, and real examples, it compares.
        seed: of the samples, the features and the interval.
        real: the same number of as many real examples.
        ratio: value over real; None where that means nothing.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    seed: int
    real: float
    ratio: float | None

    def agrees(self, expected: Mapping[str, float]) -> bool:
        """Whether the 95% interval overlaps with an expected one."""
        return self.low <= expected["high"] and expected["low"] <= self.high


def figures_of(report: MetricsReport, names: Sequence[str]) -> list[Figure]:
    """Those of a report's metrics that are named, and the class accuracy where it is there and named."""
    found = [
        Figure(f"{one.name}, {report.extractor}", one.value, one.low, one.high, report.count, report.seed,
               report.baseline[one.name].value, one.ratio)
        for one in report.scores if one.name in names
    ]  # fmt: skip
    if report.accuracy and ACCURACY in names:
        one, real = report.accuracy[SAMPLES], report.accuracy[REAL].value
        found.append(Figure(ACCURACY, one.value, one.low, one.high, one.n, report.seed, real, one.value / real))
    return found


@dataclass(frozen=True)
class Reproduction:
    """What was measured.

    Attributes:
        name: of the recipe.
        words: what was trained and how it was sampled, in sentences.
        figures: the numbers.
        goals: what is asked of them.
        expected: the published numbers: `status`, and `figures` by name with value, low, high.
        bill: seconds, operations, device.
        picture: a PNG of samples, a row for each class.
    """

    name: str
    words: Sequence[str]
    figures: Sequence[Figure]
    goals: Sequence[Goal]
    expected: Mapping[str, Any]
    bill: Mapping[str, Any]
    picture: Path

    def verdicts(self) -> dict[str, bool]:
        """Whether each figure with an expected one agrees with it, by name; empty where none was measured yet."""
        known = self.expected.get("figures", {})
        return {one.name: one.agrees(known[one.name]) for one in self.figures if one.name in known}

    def table(self) -> Table:
        """A row for each figure."""
        from sde_diffusion.report.table import Table

        heads = ["figure", "value", "95%", "n", "seed", "real data", "ratio", "asked", "expected"]
        return Table(heads, [self._row(one) for one in self.figures], f"{self.name}, reproduced")

    def _row(self, one: Figure) -> list[str]:
        goal = next((goal for goal in self.goals if goal.figure == one.name), None)
        asked = "-" if goal is None or one.ratio is None else f"{goal}: {'met' if goal.met(one.ratio) else 'not met'}"
        known = self.expected.get("figures", {}).get(one.name)
        expected = str(self.expected["status"]) if known is None else f"{known['value']:.4g}"
        if known is not None:
            expected += ", agrees" if one.agrees(known) else ", differs"
        ratio = "-" if one.ratio is None else f"{one.ratio:.3g}"
        numbers = [f"{one.value:.4g}", f"[{one.low:.3g}, {one.high:.3g}]", str(one.n), str(one.seed)]
        return [one.name, *numbers, f"{one.real:.4g}", ratio, asked, expected]

    def bill_table(self) -> Table:
        """A row for each part of the bill."""
        from sde_diffusion.report.table import Table

        return Table(["what", "it took"], [[name, _spelt(value)] for name, value in self.bill.items()], "bill")

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        kept = {name: value for name, value in vars(self).items() if name not in ("figures", "goals", "picture")}
        goals = {goal.figure: str(goal) for goal in self.goals}
        return {**kept, "figures": [asdict(one) for one in self.figures], "goals": goals, "agrees": self.verdicts()}

    def as_expected(self) -> dict[str, Any]:
        """These figures in the form of the expected ones, for the file that is published with the recipe."""
        figures = {one.name: {"value": one.value, "low": one.low, "high": one.high} for one in self.figures}
        return {"status": "measured", "figures": figures, "bill": dict(self.bill)}

    def write(self, folder: Path) -> list[Path]:
        """Write reproduction.json, expected.json, report.md and report.html into the folder, and return their paths."""
        from sde_diffusion.report.page import write_page

        data, expected = folder / "reproduction.json", folder / "expected.json"
        replace_file(data, report_json(self.as_dict()))
        replace_file(expected, report_json(self.as_expected()))
        return [data, expected, *write_page(folder, f"Reproduced: {self.name}", self._blocks())]

    def _blocks(self) -> list[Block]:
        from sde_diffusion.report.page import Grid, Heading, Paragraph, Picture

        figures = [Paragraph(one) for one in self.words]
        shown = Picture(self.picture, "Samples, a row for each class, none of them chosen.")
        return [*figures, Heading("Figures"), Grid(self.table()), shown, Heading("Bill"), Grid(self.bill_table())]


def _spelt(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
