"""Train a model into a run's folder, or go on where it stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

from sde_diffusion.cli.callback_settings import CallbackSettings
from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.folders import new_folder
from sde_diffusion.io.terminal import say
from sde_diffusion.training.settings import ComputeSettings


@dataclass(frozen=True)
class Settings(RunConfig):
    """What to train, and where to put it.

    Attributes:
        start: a folder to begin with: a run, a shared model or a diffusers pipeline, whose network, process, parameterization and
            standardization go with its weights.
        name: the run's name; its folder is runs/NAME.
        output: another folder for the run.
        device: auto, cpu or cuda.
        watch: what is seen of the model meanwhile; it changes nothing.
        compute: how a step is computed; it changes speed and memory, and the last bits only.
    """

    start: str | None = None
    name: str = "digits"
    output: str | None = None
    device: str = "auto"
    watch: CallbackSettings = field(default_factory=CallbackSettings)
    compute: ComputeSettings = field(default_factory=ComputeSettings)


def run(settings: Settings) -> None:
    """Train, or finish, and say where the run is; under torchrun together with the other processes.

    `torchrun --nproc-per-node 8 --no-python sde-diffusion train --training.gradient_accumulation 8 ...`
    """
    folder = new_folder(settings.name, settings.output)
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import train_model
    from sde_diffusion.training.distributed.process_group import join_process_group, own_device

    device = own_device(device_of(settings.device).type)
    with join_process_group(device, settings.compute.timeout) as world:
        train_model(folder, settings, device, settings.compute, world, settings.watch, settings.start)
    if world.is_main:
        say(f"trained: {folder}; next: sde-diffusion sample {folder}")
