"""Detect out-of-distribution (OOD) data with a run's model: calibrated p-values, areas under ROC curves, and a plot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import below, folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.results_folder import results_folder
from sde_diffusion.cli.specs import check_spec
from sde_diffusion.io.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.report.table import Table

HELD_OUT = "held out"


@dataclass(frozen=True)
class Settings:
    """What to test, against which run.

    Attributes:
        run: the run's name or folder.
        data: the data set in question, with examples of the run's shape, or its path, which is read as the run's own data are
            if they are of the same kind; its held-out part is tested.
        count: number of examples of it, and of held-out examples of the run's own data for calibration and for the check.
        tol: standard error wanted for log p, in bits per dimension.
        seed: random seed of probes and noise.
        output: another folder than RUN/anomalies.
        device: auto, cpu or cuda.
    """

    run: str = positional()
    data: Any = "digits"
    count: int = 64
    tol: float = 0.02
    seed: int = 0
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if not 12 <= self.count <= 10**7:
            raise ValueError(f"count is between 12 and 10000000, got {self.count}; correct it")


def run(settings: Settings) -> None:
    """Score, write anomalies.json (all p-values) and anomalies.png, and then print the table."""
    from sde_diffusion.cli import factories as build
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import check_unconditional, data_spec, load_model
    from sde_diffusion.data_paths import read_alike

    source, asked = run_folder(settings.run), check_spec(settings.data, "data")
    model = check_unconditional(load_model(source, device_of(settings.device)), "anomalies")
    asked = read_alike(asked, data_spec(model))
    other = model.to_standard(check_shape(build.data(asked).tensors("held_out")[0], model)).to(model.device)[
        : settings.count
    ]
    folder = below(source, "anomalies") if settings.output is None else folder_of(settings.output)
    with results_folder(folder, "anomalies", {**asdict(settings), "run": str(source)}):
        found = _scored(settings, model, other, str(asked["name"]))
        plot = _write(found, folder)
    found.table(source.name).print()
    say(plot)


@dataclass(frozen=True)
class OODReport:
    """Scores of the data `name` and of held-out data of the run, and their p-values by the calibration examples.

    Attributes:
        name: of the other data set.
        scores: score -> set of examples -> scores (N,), larger for data that are less likely from the run's distribution.
        p_values: the same for the p-values.
        calibration: score -> number of calibration examples.
    """

    name: str
    scores: dict[str, dict[str, Tensor]]
    p_values: dict[str, dict[str, Tensor]]
    calibration: dict[str, int]

    def table(self, run: str) -> Table:
        """A row for each score."""
        from sde_diffusion.metrics import auroc
        from sde_diffusion.report.table import Table

        rows = []
        for score, by_set in self.scores.items():
            p = self.p_values[score][self.name]
            area = auroc(by_set[self.name], by_set[HELD_OUT])
            rows.append([score, f"{area:.3f}", f"{p.median():.3f}", f"{(p <= 0.05).double().mean():.2f}"])
        title = f"Out-of-distribution detection: {self.name} against held-out data of {run}"
        return Table(["score", "AUROC", "median p", "share of p <= 0.05"], rows, title)


def _scored(settings: Settings, model: DiffusionModel, other: Tensor, name: str) -> OODReport:
    from sde_diffusion.cli.model import standardised_data_of
    from sde_diffusion.likelihood.anomalies import ood_scores
    from sde_diffusion.metrics import p_values

    own = standardised_data_of(model).tensors("held_out")[0].to(model.device)
    half = min(settings.count, len(own) // 2)
    name = f"{name} (other)" if name == HELD_OUT else name
    calibration, scores = ood_scores(
        model.sde, model.denoiser, own[:half], {HELD_OUT: own[half : 2 * half], name: other}, tol=settings.tol,
        prior=model.prior, data_std=model.std, seed=settings.seed,
    )  # fmt: skip
    found = {
        score: {which: p_values(values, calibration[score]) for which, values in by_set.items()}
        for score, by_set in scores.items()
    }
    return OODReport(name, scores, found, {score: len(values) for score, values in calibration.items()})


def _write(found: OODReport, folder: Path) -> Path:
    from sde_diffusion.io.atomic import replace_file
    from sde_diffusion.report.plain_data import report_json
    from sde_diffusion.report.plots.anomalies import anomaly_plot

    plain = {score: {name: p.tolist() for name, p in by_set.items()} for score, by_set in found.p_values.items()}
    replace_file(folder / "anomalies.json", report_json(plain))
    return anomaly_plot(found.p_values, folder / "anomalies.png", HELD_OUT, found.calibration)


def check_shape(x: Tensor, model: DiffusionModel) -> Tensor:
    """The examples, when they have the run's shape; else a ValueError."""
    if tuple(x.shape[1:]) != tuple(model.event_shape):
        raise ValueError(
            f"the run was trained on examples of shape {tuple(model.event_shape)}, these have {tuple(x.shape[1:])}; "
            "choose data of its shape"
        )
    return x
