"""Every metric of one set of samples, as a table, a plot and plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.io.atomic import replace_file
from sde_diffusion.report.plain_data import report_json

if TYPE_CHECKING:
    from sde_diffusion.evaluation.columns import ColumnReport
    from sde_diffusion.evaluation.comparison import Score
    from sde_diffusion.metrics import Estimate
    from sde_diffusion.report.plots.bars import MetricRow
    from sde_diffusion.report.table import Table

SAMPLES, REAL = "samples", "real data"
HIGHER_IS_BETTER = frozenset({"precision", "recall", "density", "coverage", "class accuracy"})


@dataclass(frozen=True)
class MetricsReport:
    """The scores of `count` samples against as many held-out examples, and the same of as many real training examples.

    Attributes:
        subject: the run.
        samples: how the samples were generated, or where they were found.
        extractor: in which features they were compared.
        count: how many samples, held-out examples and real training examples.
        sets: how many sets of that many real training examples the baseline is a mean over.
        seed: of the samples and of the intervals.
        scores: the metrics of the samples.
        baseline: the same metrics of real training examples.
        accuracy: the share of samples, and of held-out examples, in which a classifier finds the class asked for.
        cost: network evaluations for each sample, and seconds, where the samples were generated.
        columns: marginals and correlations in the units of a table with named columns; None for other data.
    """

    subject: str
    samples: str
    extractor: str
    count: int
    sets: int
    seed: int
    scores: Sequence[Score]
    baseline: Mapping[str, Estimate]
    accuracy: Mapping[str, Estimate] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    columns: ColumnReport | None = None

    def table(self) -> Table:
        """A row for each score: value and interval, the real data's, and their ratio where it means something."""
        from sde_diffusion.evaluation.comparison import times
        from sde_diffusion.report.table import Table

        rows = [
            [score.name, f"{score.value:.4g}", _interval(score), str(self.count), f"{self.baseline[score.name].value:.4g}",
             _interval(self.baseline[score.name]), "-" if score.ratio is None else times(score.ratio)]
            for score in self.scores
        ]  # fmt: skip
        if self.accuracy:
            one, real = self.accuracy[SAMPLES], self.accuracy[REAL]
            rows.append(
                ["class accuracy", f"{one.value:.4g}", _interval(one), str(one.n), f"{real.value:.4g}", _interval(real),
                 times(one.value / real.value) if real.value else "-"]
            )  # fmt: skip
        heads = ["metric", "samples", "95%", "n", "real data", "95% of real data", "ratio"]
        return Table(heads, rows, f"{self.subject}, {self.samples}: features by {self.extractor}, seed {self.seed}")

    def as_dict(self) -> dict[str, Any]:
        """As plain data: each number with its n, its seed and its interval."""
        facts = {"n": self.count, "seed": self.seed}
        return {
            **vars(self),
            "scores": [{**score.as_dict(), **facts} for score in self.scores],
            "baseline": {name: vars(one) for name, one in self.baseline.items()},
            "accuracy": {name: vars(one) for name, one in self.accuracy.items()},
            "columns": None if self.columns is None else asdict(self.columns),
        }

    def tables(self) -> list[Table]:
        """The scores, and the columns of a table."""
        return [self.table(), *([] if self.columns is None else self.columns.tables())]

    def write(self, folder: Path) -> list[Path]:
        """Write evaluation.json, evaluation.md and evaluation.png into the folder and return their paths."""
        from sde_diffusion.report.plots.bars import metric_plot

        folder.mkdir(parents=True, exist_ok=True)
        data, text, plot = (folder / f"evaluation.{kind}" for kind in ("json", "md", "png"))
        words = "\n\n".join(f"{table.title}\n\n{table.markdown()}" for table in self.tables())
        replace_file(data, report_json(self.as_dict()))
        replace_file(text, f"{words}\n".encode())
        title = f"{self.subject}: {self.count} samples against {self.count} held-out examples"
        return [data, text, metric_plot(self._rows(), plot, title)]

    def _rows(self) -> list[MetricRow]:
        """A row of the plot for each metric with a baseline other than 0."""
        from sde_diffusion.report.plots.bars import MetricRow

        rows = [
            MetricRow(f"{one.name} {_arrow(one.name)}", _three(one), _three(self.baseline[one.name]), not one.unbiased)
            for one in self.scores
        ]
        if self.accuracy:
            accuracy = (_three(self.accuracy[name]) for name in (SAMPLES, REAL))
            rows.append(MetricRow(f"class accuracy {_arrow('class accuracy')}", *accuracy, ratio=True))
        return [row for row in rows if row.real[0] != 0 or not row.ratio]


def _arrow(name: str) -> str:
    """Up for a metric that is better when larger, down for a distance."""
    return "\u2191" if name in HIGHER_IS_BETTER else "\u2193"


def _three(one: Score | Estimate) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _interval(one: Score | Estimate) -> str:
    return f"[{one.low:.3g}, {one.high:.3g}]"
