"""All that was measured of one set of samples, as a table, a plot and plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.io.atomic import replace_file, to_json

if TYPE_CHECKING:
    from sde_diffusion.evaluation.comparison import Score
    from sde_diffusion.metrics import Estimate
    from sde_diffusion.report.table import Table

SAMPLES, REAL = "samples", "real data"


@dataclass(frozen=True)
class MetricsReport:
    """The scores of `count` samples against as many held-out events, with the same of as many real training events.

    Attributes:
        subject: the run.
        samples: how the samples were drawn, or where they were found.
        extractor: in which features they were compared.
        count: how many samples, held-out events and real training events.
        sets: how many sets of that many real training events the floor is a mean over.
        seed: of the samples and of the intervals.
        scores: what was measured.
        floor: the same of real training events.
        accuracy: the share of samples, and of held-out events, in which a classifier finds the class that was asked for.
        cost: evaluations for each sample, and seconds, where they were drawn.
    """

    subject: str
    samples: str
    extractor: str
    count: int
    sets: int
    seed: int
    scores: Sequence[Score]
    floor: Mapping[str, Estimate]
    accuracy: Mapping[str, Estimate] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)

    def table(self) -> Table:
        """A row for each score: value and interval, the floor's, and their ratio where it means something."""
        from sde_diffusion.evaluation.comparison import times
        from sde_diffusion.report.table import Table

        rows = [
            [score.name, f"{score.value:.4g}", _interval(score), str(self.count), f"{self.floor[score.name].value:.4g}",
             _interval(self.floor[score.name]), "-" if score.ratio is None else times(score.ratio)]
            for score in self.scores
        ]  # fmt: skip
        if self.accuracy:
            one, real = self.accuracy[SAMPLES], self.accuracy[REAL]
            rows.append(
                ["class accuracy", f"{one.value:.4g}", _interval(one), str(one.n), f"{real.value:.4g}", _interval(real),
                 times(one.value / real.value) if real.value else "-"]
            )  # fmt: skip
        heads = ["measure", "samples", "95%", "n", "real data", "95% of real data", "ratio"]
        return Table(heads, rows, f"{self.subject}, {self.samples}: features by {self.extractor}, seed {self.seed}")

    def as_dict(self) -> dict[str, Any]:
        """As plain data: each number with its n, its seed and its interval."""
        told = {"n": self.count, "seed": self.seed}
        return {
            **vars(self),
            "scores": [{**score.as_dict(), **told} for score in self.scores],
            "floor": {name: vars(one) for name, one in self.floor.items()},
            "accuracy": {name: vars(one) for name, one in self.accuracy.items()},
        }

    def write(self, folder: Path) -> list[Path]:
        """Write evaluation.json, evaluation.md and evaluation.png into the folder and return their paths."""
        from sde_diffusion.report.plots.bars import bars

        folder.mkdir(parents=True, exist_ok=True)
        data, text, plot = (folder / f"evaluation.{kind}" for kind in ("json", "md", "png"))
        table = self.table()
        replace_file(data, to_json(self.as_dict()))
        replace_file(text, f"{table.title}\n\n{table.markdown()}\n".encode())
        drawn = {score.name: {SAMPLES: _bar(score), REAL: _bar(self.floor[score.name])} for score in self.scores}
        if self.accuracy:
            drawn["class accuracy"] = {name: _bar(one) for name, one in self.accuracy.items()}
        title = f"{self.subject}: {self.count} samples against {self.count} held-out events, 95% intervals"
        return [data, text, bars(drawn, plot, title)]


def _bar(one: Score | Estimate) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _interval(one: Score | Estimate) -> str:
    return f"[{one.low:.3g}, {one.high:.3g}]"
