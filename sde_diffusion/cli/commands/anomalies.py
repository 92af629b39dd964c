"""Ask whether events come from a run's law: p-values calibrated on held-out data, areas under ROC curves, and a plot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.specs import check_spec

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.cli.model import Model


@dataclass(frozen=True)
class Settings:
    """What to judge, against which run.

    Attributes:
        run: the run's name or folder.
        data: the data set in question, of events of the run's shape; its held-out part is judged.
        count: how many events of it, and how many held-out ones of the run's own data to calibrate on and to check with.
        tol: the standard error wanted for log p, in bits per dimension.
        seed: keys probes and noise.
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
    """Judge, and write anomalies.json (all p-values) and anomalies.png."""
    from sde_diffusion.cli import factories as build
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.cli.model import data_of, load_model
    from sde_diffusion.io.atomic import replace_file, to_json
    from sde_diffusion.likelihood.anomalies import ood_scores
    from sde_diffusion.metrics import auroc, p_values
    from sde_diffusion.report.plots.anomalies import anomaly_plot
    from sde_diffusion.report.table import Table

    source, asked = run_folder(settings.run), check_spec(settings.data, "data")
    model = load_model(source, device_of(settings.device))
    own = data_of(model).tensors("held_out")[0].to(model.device)
    other = fitting(build.data(asked).tensors("held_out")[0], model).to(model.device)[: settings.count]
    folder = source / "anomalies" if settings.output is None else folder_of(settings.output)
    claim_output_folder(folder, "anomalies", {**asdict(settings), "run": str(source)})
    half = min(settings.count, len(own) // 2)
    sets = {"held out": own[half : 2 * half], str(asked["name"]): other}
    calibration, judged = ood_scores(
        model.sde, model.denoiser, own[:half], sets, tol=settings.tol, prior=model.prior, data_std=model.facts.std,
        seed=settings.seed,
    )  # fmt: skip
    found = {
        score: {name: p_values(values, calibration[score]) for name, values in by_set.items()}
        for score, by_set in judged.items()
    }
    stranger = list(sets)[-1]
    rows = [[score, f"{auroc(judged[score][stranger], judged[score]['held out']):.3f}",
             f"{found[score][stranger].median().item():.3f}",
             f"{(found[score][stranger] <= 0.05).double().mean().item():.2f}"] for score in found]  # fmt: skip
    Table(["score", "AUROC", "median p", "share of p <= 0.05"], rows, f"{stranger} against {source.name}").print()
    plain = {score: {name: p.tolist() for name, p in by_set.items()} for score, by_set in found.items()}
    replace_file(folder / "anomalies.json", to_json(plain))
    counts = {score: len(values) for score, values in calibration.items()}
    print(anomaly_plot(found, folder / "anomalies.png", "held out", counts))


def fitting(x: Tensor, model: Model) -> Tensor:
    """The events, when they have the run's shape; else a ValueError."""
    if tuple(x.shape[1:]) != tuple(model.facts.event_shape):
        raise ValueError(
            f"the run knows events of shape {tuple(model.facts.event_shape)}, these have {tuple(x.shape[1:])}; "
            "choose data of its shape"
        )
    return x
