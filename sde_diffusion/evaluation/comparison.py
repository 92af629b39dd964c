"""Samplers side by side: what each costs and how far its samples are, as a table, a plot and plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.io.atomic import replace_file, to_json

if TYPE_CHECKING:
    from sde_diffusion.report.plots.cost import Panel
    from sde_diffusion.report.table import Table


@dataclass(frozen=True)
class Score:
    """One measure with its confidence interval; `floor` is the same measure of real or exact samples, where known.

    `unbiased`: equal laws give 0 in the mean, and no ratio means anything.
    """

    name: str
    value: float
    low: float
    high: float
    floor: float | None = None
    unbiased: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times the floor, where that means something."""
        return None if self.unbiased or not self.floor else self.value / self.floor

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "ratio": self.ratio}


@dataclass(frozen=True)
class SamplerResult:
    """One sampler at one cost: evaluations for each sample, seconds for all of them, and its scores."""

    label: str
    recipe: str
    steps: int
    evaluations: float
    seconds: float
    scores: Sequence[Score]

    def cost(self) -> list[str]:
        """Sampler, steps, evaluations and seconds as text."""
        return [self.label, str(self.steps or "-"), f"{self.evaluations:g}", f"{self.seconds:.2f}"]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "scores": [score.as_dict() for score in self.scores]}


@dataclass(frozen=True)
class Comparison:
    """Trials of one subject, `count` samples each from one seed, and the floors (low, high) of the distances."""

    subject: str
    count: int
    seed: int
    trials: Sequence[SamplerResult]
    floors: dict[str, tuple[float, float]] = field(default_factory=dict)
    floor_is: str = ""

    def table(self) -> Table:
        """A row for each trial."""
        from sde_diffusion.report.table import Table

        names = self.measures()
        heads = ["sampler", "steps", "NFE", "seconds", *(head for name in names for head in self._heads(name))]
        rows = [
            [
                trial.label,
                str(trial.steps or "-"),
                f"{trial.evaluations:g}",
                f"{trial.seconds:.2f}",
                *self._cells(trial, names),
            ]
            for trial in self.trials
        ]
        return Table(heads, rows, f"{self.subject}: {self.count} samples each, seed {self.seed}")

    def measures(self) -> list[str]:
        """The names of the scores, in the order in which they first appear."""
        return list(dict.fromkeys(score.name for trial in self.trials for score in trial.scores))

    def panels(self) -> list[Panel]:
        """A pair of axes for each measure."""
        return [self._panel(name) for name in self.measures()]

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**vars(self), "trials": [trial.as_dict() for trial in self.trials]}

    def write(self, folder: Path) -> list[Path]:
        """Write comparison.json, comparison.md and comparison.png into the folder and return their paths."""
        from sde_diffusion.report.plots.cost import cost_plot

        folder.mkdir(parents=True, exist_ok=True)
        data, text, plot = (folder / f"comparison.{kind}" for kind in ("json", "md", "png"))
        replace_file(data, to_json(self.as_dict()))
        replace_file(text, (self.table().markdown() + "\n").encode())
        return [data, text, cost_plot(self.panels(), plot, self.subject)]

    def _heads(self, name: str) -> list[str]:
        return [name, "ratio"] if self._has_floor(name) else [name]

    def _has_floor(self, name: str) -> bool:
        return any(score.floor is not None for trial in self.trials for score in trial.scores if score.name == name)

    def _cells(self, trial: SamplerResult, names: Sequence[str]) -> list[str]:
        scores = {score.name: score for score in trial.scores}
        return [cell for name in names for cell in _cells(scores.get(name), len(self._heads(name)))]

    def _panel(self, name: str) -> Panel:
        from sde_diffusion.report.plots.cost import Panel

        lines = [line for label in dict.fromkeys(t.label for t in self.trials) if (line := self._line(label, name))]
        floor = (*self.floors[name], self.floor_is) if name in self.floors else None
        return Panel(f"{name} against cost", name, lines, floor)

    def _line(self, label: str, name: str) -> Any:
        from sde_diffusion.report.plots.cost import Line

        found = [(t.evaluations, s) for t in self.trials for s in t.scores if t.label == label and s.name == name]
        found.sort(key=lambda pair: pair[0])
        cost, scores = [cost for cost, _ in found], [score for _, score in found]
        drawn = Line(label, cost, [s.value for s in scores], [s.low for s in scores], [s.high for s in scores])
        return drawn if found else None


def _cells(score: Score | None, width: int) -> list[str]:
    """A score as text, and its ratio to the floor where the table has a column for it."""
    if score is None:
        return ["-"] * width
    text = f"{score.value:.3g} ± {(score.high - score.low) / 2:.1g}"
    return [text] if width == 1 else [text, "-" if score.ratio is None else times(score.ratio)]


def times(ratio: float) -> str:
    """A ratio as text: two decimals, or three digits of a large one."""
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:.3g}"
