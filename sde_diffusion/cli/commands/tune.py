"""Tune a solver to a trained run: the numbers that come nearest to the end points of the probability flow in a few calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.cli.folders import below, folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.sampler_specs import SUFFIX
from sde_diffusion.io.terminal import say

if TYPE_CHECKING:
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.sampling.tuned import Tuned


@dataclass(frozen=True)
class Settings:
    """What to tune.

    Attributes:
        run: the run's name or folder.
        nfe: evaluations of the network for each sample.
        out: the file, its name ending in .json; RUN/tuned-NFE.json by default.
        iterations: the most steps of the search.
        trajectories: how many are trained on, while four times as many decide; 256 to 4096 by the size of a sample by default.
        reference: evaluations that a true end point is worth.
        seed: of the trajectories.
        device: auto, cpu, cuda, cuda:1 or mps.
    """

    run: str = positional()
    nfe: int = 10
    out: str | None = None
    iterations: int = 40
    trajectories: int | None = None
    reference: int = 200
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if not 2 <= self.nfe <= 64:
            raise ValueError(f"nfe is between 2 and 64, got {self.nfe}; beyond, the default rule is accurate by itself")
        for name, most in (("iterations", 10**4), ("trajectories", 10**6), ("reference", 10**4)):
            if (value := getattr(self, name)) is not None and not 1 <= value <= most:
                raise ValueError(f"{name} is between 1 and {most}, got {value}; correct it")
        if self.out is not None and not self.out.endswith(SUFFIX):
            raise ValueError(f"a tuned solver's file ends in {SUFFIX}, got {self.out!r}; rename it")


def run(settings: Settings) -> None:
    """Tune, write the file, and say what was gained on the held-out trajectories."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import check_unconditional, load_model

    source = run_folder(settings.run)
    file = below(source, f"tuned-{settings.nfe}{SUFFIX}") if settings.out is None else folder_of(settings.out)
    if not file.parent.is_dir():
        raise ValueError(f"there is no folder {file.parent}; make it or give another --out")
    model = check_unconditional(load_model(source, device_of(settings.device)), "tune")
    tuned = _tuned(settings, source, model)
    tuned.save(file)
    before, after = (tuned.record[f"held_out_distance_{when}"] for when in ("before", "after"))
    say(f"distance to the ODE's end points on held-out seeds: {before:.3g} untuned, {after:.3g} tuned")
    say(f"{file}; next: sde-diffusion sample {source} --sampler {file}")


def _tuned(settings: Settings, source: Path, model: DiffusionModel) -> Tuned:
    from tqdm import tqdm

    from sde_diffusion.io.terminal import tqdm_options
    from sde_diffusion.tuning.tune import (
        STARTS,
        TuneProgress,
        TuneSettings,
        tune,
    )

    wanted = TuneSettings(settings.iterations, settings.trajectories, settings.reference, settings.seed)
    with tqdm(total=STARTS * settings.iterations, desc="tuning", disable=None, leave=False, **tqdm_options()) as bar:

        def progress(report: TuneProgress) -> None:
            bar.set_postfix(held_out=f"{report.held_out:.3g}")
            bar.update()

        return tune(model.denoiser, model.sde, settings.nfe, model.event_shape, wanted,
                    data_std=model.std, prior=model.prior, device=model.device, progress=progress,
                    model=f"run {source.name}")  # fmt: skip
