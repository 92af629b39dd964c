"""Train a model into a run's folder, or go on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.places import new_folder


@dataclass(frozen=True)
class Settings(RunConfig):
    """What to train, and where to put it.

    Attributes:
        name: the run's name; its folder is runs/NAME.
        output: another folder for the run.
        device: auto, cpu or cuda.
    """

    name: str = "digits"
    output: str | None = None
    device: str = "auto"


def run(settings: Settings) -> None:
    """Train, or finish, and say where the run is."""
    folder = new_folder(settings.name, settings.output)
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import train_model

    train_model(folder, settings, device_of(settings.device))
    print(f"trained: {folder}; next: sde-diffusion sample {folder}")
