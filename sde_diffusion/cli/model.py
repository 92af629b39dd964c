"""A run's model: trained into a folder, or taken from one; or the model of a folder that somebody shared."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli import factories as build
from sde_diffusion.cli.callback_settings import CallbackSettings, WatchedRun, callbacks_of
from sde_diffusion.cli.config import RunConfig
from sde_diffusion.io.atomic import replace_file, to_json
from sde_diffusion.io.plain import read_plain
from sde_diffusion.specs import spec
from sde_diffusion.training.run_folder import RunFolder
from sde_diffusion.training.settings import ComputeSettings

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sde_diffusion.data import DataSource
    from sde_diffusion.denoisers.base import Denoiser
    from sde_diffusion.sde import GaussianPrior, LinearSDE
    from sde_diffusion.sharing import Pretrained
    from sde_diffusion.training.distributed.process_group import ProcessGroup

UNTOLD = "untold"


@dataclass(frozen=True)
class Facts:
    """What a model must know of its data: the events' shape, mean and standard deviation over all numbers, classes."""

    event_shape: tuple[int, ...]
    mean: float
    std: float
    classes: int | None

    @classmethod
    def of(cls, x: Tensor, classes: int | None) -> Facts:
        """Those of events (N, *E). Raises ValueError when all are one and the same number."""
        std = float(x.double().std())
        if not (math.isfinite(std) and std > 0):
            raise ValueError("the data are one and the same number everywhere, and nothing can be learnt; check them")
        return cls(tuple(x.shape[1:]), float(x.double().mean()), std, classes)

    @classmethod
    def read(cls, path: Path) -> Facts:
        """Those of a run's file; ValueError when it is missing or damaged."""
        try:
            stored = read_plain(path)
            return cls(tuple(stored["event_shape"]), float(stored["mean"]), float(stored["std"]), stored["classes"])
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path} is missing or damaged; run the same `sde-diffusion train` again") from error


@dataclass(frozen=True)
class Model:
    """What sampling needs: the process, the denoiser with averaged weights, the prior, and where they came from."""

    config: RunConfig
    facts: Facts
    sde: LinearSDE
    denoiser: Denoiser
    device: torch.device

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.facts.event_shape

    @property
    def classes(self) -> int | None:
        """How many labels the network is told, or None."""
        return _classes(self.config)

    @property
    def prior(self) -> GaussianPrior:
        """The law at the horizon that has the data's first two moments."""
        return self.sde.prior(self.facts.mean, self.facts.std**2)


def train_model(
    folder: Path,
    config: RunConfig,
    device: torch.device,
    compute: ComputeSettings | None = None,
    world: ProcessGroup | None = None,
    watch: CallbackSettings | None = None,
) -> Model:
    """Train in `folder`, going on from its newest checkpoint; at once when the run is finished.

    In a `world` of several processes all call, and the leading one writes. `watch` says what is seen meanwhile; nothing
    without it. Raises ValueError when the folder holds another run or something else, or what is to be watched with is
    missing; CheckpointError, FolderInUse as `train` does.
    """
    from sde_diffusion.training import ProcessGroup, fit

    world = world or ProcessGroup()
    source = build.data(config.part("data"))
    x, labels = source.tensors("train")
    facts = Facts.of(x, source.classes)
    made = build.components(config, facts)
    denoiser, sde, objective = made.denoiser, made.sde, made.objective
    world.run_on_main(lambda: _begin(folder, config, facts))
    told: dict[str, Any] = {} if _classes(config) is None else {"labels": labels}
    if watch is not None:
        scene = WatchedRun(folder, sde, objective, source, x, _classes(config), config.training.seed)
        told["callbacks"] = callbacks_of(watch, scene)
    told |= {"objective": objective, "folder": folder, "device": device, "world": world}
    average: Any = fit(denoiser, sde, x, config.training, compute=compute or ComputeSettings(), **told)
    return Model(config, facts, sde, average.eval().requires_grad_(False), device)


def _begin(folder: Path, config: RunConfig, facts: Facts) -> None:
    """The run's folder with what it says of itself."""
    run = RunFolder.create(folder, config.as_dict())
    replace_file(run.path / "data.json", to_json(asdict(facts)))


def load_model(folder: Path, device: torch.device) -> Model:
    """The model of a run, with the averaged weights of its newest whole checkpoint; or that of a shared folder.

    Raises ValueError for what is neither, CheckpointError (a ValueError) for damaged or foreign checkpoints.
    """
    from sde_diffusion.sharing import from_diffusers, from_pretrained, is_pipeline, is_pretrained
    from sde_diffusion.training import latest, load_average

    if is_pretrained(folder):
        return _shared(from_pretrained(folder), folder, device)
    if is_pipeline(folder):
        return _shared(from_diffusers(folder), folder, device)
    run = RunFolder(folder)
    config = RunConfig.of(run.config(), str(run.config_file))
    facts = Facts.read(folder / "data.json")
    made = build.components(config, facts)
    newest = latest(run.checkpoints)
    if newest is None:
        raise ValueError(f"{folder} has no checkpoint yet; run its `sde-diffusion train` until the first one")
    load_average(newest, made.denoiser)
    return Model(config, facts, made.sde, made.denoiser.to(device).eval().requires_grad_(False), device)


def _shared(found: Pretrained, folder: Path, device: torch.device) -> Model:
    """A shared model; what its folder does not tell of the run, such as the data, is a part called UNTOLD."""
    untold = RunConfig(network=spec(UNTOLD, classes=found.classes), data=spec(UNTOLD))
    config = RunConfig.of(found.run, str(folder)) if found.run else untold
    facts = Facts(found.event_shape, found.mean, found.std, found.classes)
    return Model(config, facts, found.sde, found.denoiser.to(device), device)


def data_of(model: Model) -> DataSource:
    """The data that the model was trained on; ValueError for a shared model that does not tell."""
    if model.config.part("data")["name"] == UNTOLD:
        raise ValueError("this folder does not tell what data its model was trained on; name a run, or one of `export`")
    return build.data(model.config.part("data"))


def check_label(model: Model, label: int | None) -> None:
    """Raises ValueError for a label that the model was not told, or does not know."""
    classes = model.classes
    if label is None:
        return
    if classes is None:
        raise ValueError("this model was not told the labels; train one with --network.classes, or leave --label out")
    if not 0 <= label < classes:
        raise ValueError(f"labels lie in 0 .. {classes - 1}, got {label}; choose one of them")


def _classes(config: RunConfig) -> int | None:
    """How many labels the network is told, or None."""
    return config.part("network").get("classes")
