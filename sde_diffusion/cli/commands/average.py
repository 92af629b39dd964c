"""Post-hoc EMA: average a run's weights over any length after training, from its snapshots, into a folder like a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.cli.folders import below, folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.results_folder import results_folder
from sde_diffusion.io.terminal import say
from sde_diffusion.specs import to_text

if TYPE_CHECKING:
    from sde_diffusion.evaluation.average_sweep import Sweep
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.training.ema.post_hoc import Fit


@dataclass(frozen=True)
class Settings:
    """What to average.

    Attributes:
        run: the run's name or folder; it was trained with training.snapshot_every.
        sigma_rel: relative length of the EMA (EDM2), the standard deviation of its weights over the training time.
        sweep: several lengths instead, such as `--sweep 0.03 0.05 0.1 0.2`: the held-out loss of each.
        step: average after this step, one with a snapshot; the last one unless given.
        draws: Monte Carlo draws of the noise for each held-out example, in a sweep.
        seed: random seed of that noise, which is the same for all lengths.
        output: another folder than RUN/averages/sigma-S-step-N, or RUN/lengths for a sweep.
        device: auto, cpu or cuda, for a sweep.
    """

    run: str = positional()
    sigma_rel: float | None = None
    sweep: list[float] | None = None
    step: int | None = None
    draws: int = 8
    seed: int = 0
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if (self.sigma_rel is None) == (self.sweep is None):
            raise ValueError(
                "average takes either --sigma_rel, such as 0.08, or --sweep, such as --sweep 0.03 0.05 0.1 0.2"
            )
        if self.sweep is not None and len(self.sweep) < 2:
            raise ValueError(f"a sweep compares at least two lengths, got {self.sweep}; for one give --sigma_rel")
        if not 1 <= self.draws <= 10**6:
            raise ValueError(f"draws is between 1 and 1000000, got {self.draws}; correct it")


def run(settings: Settings) -> None:
    """Write the average and its picture, or the table and the picture of a sweep."""
    source = run_folder(settings.run)
    if settings.sweep is None:
        _write_average(settings, source, float(settings.sigma_rel or 0.0))
    else:
        _write_sweep(settings, source, settings.sweep)


def _write_average(settings: Settings, source: Path, length: float) -> None:
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import load_model
    from sde_diffusion.training.checkpoints.tensors import fill
    from sde_diffusion.training.ema.post_hoc import fit

    found = fit(source, length, settings.step)
    default = "averages", f"sigma-{length:g}-step-{found.step:06d}"
    folder = below(source, *default) if settings.output is None else folder_of(settings.output)
    if folder.exists():
        raise ValueError(f"{folder} exists already; sample from it, or give another --output")
    model = load_model(source, device_of("cpu"))
    fill(model.denoiser, found.average(), source)
    model.save(folder, _card(source, model, found))
    for text in (
        _picture(found, folder / "profile.png"),
        _words(found),
        f"{folder}; next: sde-diffusion sample {folder}",
    ):
        say(text)


def _card(source: Path, model: DiffusionModel, found: Fit):
    from sde_diffusion.cli.model import data_spec
    from sde_diffusion.sharing import Card

    words = f"{_words(found)}\n\n![The weight of each training step](profile.png)"
    data = data_spec(model)
    return Card(title=source.name, data="" if data is None else to_text(data), words=words)


def _words(found: Fit) -> str:
    lengths = ", ".join(f"{length:g}" for length in sorted({length for _, length in found.sources}))
    steps = len({snapshot.step for snapshot, _ in found.sources})
    return (
        f"The weights are averaged with sigma_rel {found.sigma_rel:g} after step {found.step}, from {steps} snapshots of "
        f"the lengths {lengths}; the fitted profile differs from the wanted one by {100 * found.residual:.2g}% of its norm."
    )


def _picture(found: Fit, path: Path) -> Path:
    import numpy as np

    from sde_diffusion.report.plots.averages import profile_plot

    tau = np.linspace(0, found.step, 2001)[1:]
    wanted, fitted = found.densities(tau)
    snapshots = sorted({snapshot.step for snapshot, _ in found.sources})
    title = f"sigma_rel {found.sigma_rel:g} after step {found.step}: {100 * found.residual:.2g}% error of the profile"
    return profile_plot(tau, wanted, fitted, snapshots, title, path)


def _write_sweep(settings: Settings, source: Path, lengths: list[float]) -> None:
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import load_model
    from sde_diffusion.io.atomic import replace_file
    from sde_diffusion.report.plain_data import report_json
    from sde_diffusion.training.ema.post_hoc import fit

    fits = [fit(source, length, settings.step) for length in sorted(lengths)]
    model = load_model(source, device_of(settings.device))
    folder = below(source, "lengths") if settings.output is None else folder_of(settings.output)
    with results_folder(folder, "average", {**asdict(settings), "run": str(source)}):
        found = _swept(settings, model, fits)
        replace_file(folder / "lengths.json", report_json(found.as_dict()))
        plot = found.plot(folder / "lengths.png")
    found.table().print()
    say(plot)
    say(f"next: sde-diffusion average {settings.run} --sigma_rel {found.best.sigma_rel:g}")


def _swept(settings: Settings, model: DiffusionModel, fits: list[Fit]) -> Sweep:
    from sde_diffusion.cli.model import context_of, objective_of, standardised_data_of
    from sde_diffusion.evaluation.average_sweep import sweep_averages

    source = standardised_data_of(model)
    x, labels = source.tensors("held_out")
    conditional = labels if model.classes is not None else None
    given = context_of(model, source, len(x))
    return sweep_averages(model, fits, objective_of(model), x, conditional, settings.draws, settings.seed, given)
