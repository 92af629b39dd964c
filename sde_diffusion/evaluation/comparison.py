"""Samplers side by side: what each costs and how far its samples are, as a table, a plot and plain data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.io.atomic import replace_file
from sde_diffusion.report.plain_data import report_json

if TYPE_CHECKING:
    from sde_diffusion.report.plots.cost import Panel
    from sde_diffusion.report.table import Table


@dataclass(frozen=True)
class Score:
    """One metric with its 95% interval.

    Attributes:
        name: of the metric.
        value: of the samples.
        low: lower end of the interval.
        high: upper end of the interval.
        baseline: the same metric of real data, or of exact samples; None where there is none.
        unbiased: the metric has mean 0 for equal distributions, so that a ratio to the baseline means nothing.
    """

    name: str
    value: float
    low: float
    high: float
    baseline: float | None = None
    unbiased: bool = False

    @property
    def ratio(self) -> float | None:
        """The value over the baseline; None where that means nothing."""
        return None if self.unbiased or not self.baseline else self.value / self.baseline

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True)
class SamplerResult:
    """One sampler at one cost: network evaluations for each sample, seconds for all of them, and its scores.

    `label` is its short name, `sampler` spells it out.
    """

    label: str
    sampler: str
    steps: int
    evaluations: float
    seconds: float
    scores: Sequence[Score]

    @property
    def worst_ratio(self) -> float:
        """The largest of the ratios to the baseline; infinite where no score has one."""
        return max((score.ratio for score in self.scores if score.ratio is not None), default=math.inf)

    def overlaps(self, other: SamplerResult) -> bool:
        """Whether in every score that both have the two 95% intervals overlap: the two cannot be distinguished."""
        theirs = {score.name: score for score in other.scores}
        pairs = [(score, theirs[score.name]) for score in self.scores if score.name in theirs]
        return all(one.low <= two.high and two.low <= one.high for one, two in pairs)

    def cost(self) -> list[str]:
        """Label, steps, network evaluations and seconds as text."""
        return [self.label, str(self.steps or "-"), f"{self.evaluations:g}", f"{self.seconds:.2f}"]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "scores": [score.as_dict() for score in self.scores]}


@dataclass(frozen=True)
class Comparison:
    """Results of several samplers on one subject.

    Attributes:
        subject: what was sampled.
        count: samples of each result.
        seed: from which all of them were made.
        results: one for each sampler and cost.
        baselines: score name -> (low, high), the same score of real or exact samples.
        baseline_is: what the baseline is of, in words.
    """

    subject: str
    count: int
    seed: int
    results: Sequence[SamplerResult]
    baselines: dict[str, tuple[float, float]] = field(default_factory=dict)
    baseline_is: str = ""

    def table(self) -> Table:
        """A row for each result."""
        from sde_diffusion.report.table import Table

        names = self.measures()
        heads = ["sampler", "steps", "NFE", "seconds", *(head for name in names for head in self._heads(name))]
        rows = [[*result.cost(), *self._cells(result, names)] for result in self.results]
        return Table(heads, rows, f"{self.subject}: {self.count} samples each, seed {self.seed}")

    def measures(self) -> list[str]:
        """The names of the scores, in the order in which they first appear."""
        return list(dict.fromkeys(score.name for result in self.results for score in result.scores))

    def panels(self) -> list[Panel]:
        """A pair of axes for each measure."""
        return [self._panel(name) for name in self.measures()]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "results": [result.as_dict() for result in self.results]}

    def write(self, folder: Path) -> list[Path]:
        """Write comparison.json, comparison.md and comparison.png into the folder and return their paths."""
        from sde_diffusion.report.plots.cost import cost_plot

        folder.mkdir(parents=True, exist_ok=True)
        data, text, plot = (folder / f"comparison.{kind}" for kind in ("json", "md", "png"))
        replace_file(data, report_json(self.as_dict()))
        replace_file(text, (self.table().markdown() + "\n").encode())
        return [data, text, cost_plot(self.panels(), plot, self.subject)]

    def _heads(self, name: str) -> list[str]:
        return [name, "ratio"] if self._has_baseline(name) else [name]

    def _has_baseline(self, name: str) -> bool:
        return any(
            score.baseline is not None for result in self.results for score in result.scores if score.name == name
        )

    def _cells(self, result: SamplerResult, names: Sequence[str]) -> list[str]:
        scores = {score.name: score for score in result.scores}
        return [cell for name in names for cell in _cells(scores.get(name), len(self._heads(name)))]

    def _panel(self, name: str) -> Panel:
        from sde_diffusion.report.plots.cost import Panel

        lines = [line for label in dict.fromkeys(r.label for r in self.results) if (line := self._line(label, name))]
        baseline = (*self.baselines[name], self.baseline_is) if name in self.baselines else None
        return Panel(f"{name} against cost", name, lines, baseline)

    def _line(self, label: str, name: str) -> Any:
        from sde_diffusion.report.plots.cost import Line

        found = [(r.evaluations, s) for r in self.results for s in r.scores if r.label == label and s.name == name]
        found.sort(key=lambda pair: pair[0])
        cost, scores = [cost for cost, _ in found], [score for _, score in found]
        line = Line(label, cost, [s.value for s in scores], [s.low for s in scores], [s.high for s in scores])
        return line if found else None


def _cells(score: Score | None, width: int) -> list[str]:
    """A score as text, and its ratio to the baseline where the table has a column for it."""
    if score is None:
        return ["-"] * width
    text = f"{score.value:.3g} ± {(score.high - score.low) / 2:.1g}"
    return [text] if width == 1 else [text, "-" if score.ratio is None else times(score.ratio)]


def times(ratio: float) -> str:
    """A ratio as text: two decimals, or three digits of a large one."""
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:.3g}"
