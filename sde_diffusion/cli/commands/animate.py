"""Animate the forward and the reverse process: data turn into noise and back, as a GIF and as a film strip."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.cli.folders import below, folder_of, new_folder, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.results_folder import results_folder
from sde_diffusion.cli.specs import check_spec
from sde_diffusion.io.terminal import say
from sde_diffusion.specs import Spec, parse, spec

if TYPE_CHECKING:
    from sde_diffusion.report.animation.films import Film


@dataclass(frozen=True)
class Settings:
    """What to show.

    Attributes:
        run: a trained run's name or folder; leave it out to show an exact law.
        law: an exact law on the plane or of images, such as two or ring8.
        sde: the process that adds noise to an exact law; a run has its own.
        points: number of points or images; a square number of images fills its grid.
        frames: frames in each direction.
        seed: random seed of the data and of the noise.
        output: another folder than RUN/animation or runs/animate-LAW.
        device: auto, cpu or cuda, for a run.
    """

    run: str | None = positional(default=None)
    law: str | None = None
    sde: Spec | str = field(default_factory=lambda: spec("vp"))
    points: int | None = None
    frames: int = 32
    seed: int = 0
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sde", check_spec(self.sde, "sde"))
        if self.run is not None and self.law is not None:
            raise ValueError("animate takes either a run or --law; leave one of them out")
        if not 4 <= self.frames <= 400 or not 1 <= (self.points or 1) <= 20_000:
            raise ValueError(
                f"frames lie between 4 and 400 and points between 1 and 20000, got {self.frames} and {self.points}; correct them"
            )


def run(settings: Settings) -> None:
    """Simulate, and write diffusion.gif and diffusion.png."""
    for path in _of_run(settings) if settings.run is not None else _of_law(settings):
        say(path)


def _written(film: Film, folder: Path) -> tuple[Path, Path]:
    from sde_diffusion.report.animation.frames import write_film

    return write_film(film.frames, film.captions, folder / "diffusion.gif", folder / "diffusion.png")


def _of_law(settings: Settings) -> tuple[Path, Path]:
    from sde_diffusion.cli import factories as build
    from sde_diffusion.report.animation.films import of_law

    named, sde = parse(settings.law or "two"), build.process(check_spec(settings.sde, "sde"))
    law = build.law(named)
    folder = new_folder(f"animate-{named['name']}", settings.output)
    with results_folder(folder, "animate", asdict(settings)):
        return _written(of_law(law, sde, settings.points, settings.frames, settings.seed), folder)


def _of_run(settings: Settings) -> tuple[Path, Path]:
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import check_unconditional, load_model, standardised_data_of
    from sde_diffusion.report.animation.films import of_model

    source = run_folder(str(settings.run))
    model = check_unconditional(load_model(source, device_of(settings.device)), "animate")
    folder = below(source, "animation") if settings.output is None else folder_of(settings.output)
    x0 = standardised_data_of(model).tensors("held_out")[0].to(model.device)
    with results_folder(folder, "animate", {**asdict(settings), "run": str(source)}):
        units = model.standardization.from_standard
        film = of_model(model.sde, model.denoiser, x0, settings.points, settings.frames, settings.seed, units)
        return _written(film, folder)
