"""Show a diffusion there and back: data melt into noise and return, as a GIF and as a film strip."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.cli.folders import folder_of, new_folder, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.specs import check_spec
from sde_diffusion.specs import Spec, parse, spec

if TYPE_CHECKING:
    from sde_diffusion.report.animation.films import Film


@dataclass(frozen=True)
class Settings:
    """What to show.

    Attributes:
        run: a trained run's name or folder; leave it out to show an exact law.
        law: an exact law on the plane or of pictures, such as two or ring8.
        sde: the process of a law's noise; a run has its own.
        points: how many points, or a square number of pictures, are followed.
        frames: moments shown each way.
        seed: of the data and of the noise.
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
                f"frames lie between 4 and 400 and points between 1 and 20000, got {self.frames} and {self.points}"
            )


def run(settings: Settings) -> None:
    """Simulate, draw, and write diffusion.gif and diffusion.png."""
    from sde_diffusion.report.animation.frames import film

    folder, shown = _of_run(settings) if settings.run is not None else _of_law(settings)
    for path in film(shown.scenes, shown.script, folder / "diffusion.gif", folder / "diffusion.png"):
        print(path)


def _of_law(settings: Settings) -> tuple[Path, Film]:
    from sde_diffusion.cli import factories as build
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.report.animation.films import of_law

    named, sde = parse(settings.law or "two"), build.process(check_spec(settings.sde, "sde"))
    law = build.law(named)
    folder = new_folder(f"animate-{named['name']}", settings.output)
    claim_output_folder(folder, "animate", asdict(settings))
    return folder, of_law(law, sde, settings.points, settings.frames, settings.seed)


def _of_run(settings: Settings) -> tuple[Path, Film]:
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.cli.model import data_of, load_model
    from sde_diffusion.report.animation.films import of_model

    source = run_folder(str(settings.run))
    model = load_model(source, device_of(settings.device))
    folder = source / "animation" if settings.output is None else folder_of(settings.output)
    claim_output_folder(folder, "animate", {**asdict(settings), "run": str(source)})
    x0, _ = data_of(model).tensors("held_out")
    return folder, of_model(
        model.sde, model.denoiser, x0.to(model.device), settings.points, settings.frames, settings.seed
    )
