"""A run's model: trained into a folder, or loaded from one. Imported when a command needs a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli import factories
from sde_diffusion.cli.callback_settings import CallbackSettings, WatchedRun, callbacks_of
from sde_diffusion.cli.config import RunConfig
from sde_diffusion.specs import Spec, check_spec
from sde_diffusion.training.settings import ComputeSettings

if TYPE_CHECKING:
    import torch

    from sde_diffusion.data import DataSource
    from sde_diffusion.data.moments import Moments
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.standardization import Standardization
    from sde_diffusion.training.distributed.process_group import ProcessGroup


@dataclass(frozen=True)
class _Facts:
    """What the components must know of the data."""

    event_shape: tuple[int, ...]
    std: float
    classes: int | None


def train_model(
    folder: Path,
    config: RunConfig,
    device: torch.device,
    compute: ComputeSettings | None = None,
    world: ProcessGroup | None = None,
    watch: CallbackSettings | None = None,
) -> DiffusionModel:
    """Train in `folder`, going on from its newest checkpoint; at once when the run is finished.

    In a `world` of several processes all call, and the main one writes. `watch` says which callbacks look on; none without
    it. Raises ValueError when the folder holds another run or something else, or a package for `watch` is missing;
    CheckpointError, FolderInUse as `train` does. What is refused has changed no file.
    """
    from sde_diffusion.training import ProcessGroup

    source = factories.data(config.part("data"))
    model, objective = new_model(config, source)
    conditional = True if model.class_names is not None else None
    more: dict[str, Any] = {}
    if watch is not None:
        seen = WatchedRun(folder, model, objective, source, config.training.seed)
        more["callbacks"] = callbacks_of(watch, seen)
    return model.fit(
        source, conditional, settings=config.training, folder=folder, objective=objective, device=device,
        compute=compute or ComputeSettings(), world=world or ProcessGroup(), config=config.as_dict(),
        augment=factories.augmentation(config.part("augment")), **more,
    )  # fmt: skip


def new_model(config: RunConfig, source: DataSource) -> tuple[DiffusionModel, Any]:
    """The model before its first step, its weights a function of the configuration's seed; and the loss."""
    from sde_diffusion.data.moments import Moments
    from sde_diffusion.data.tables import SourceTable
    from sde_diffusion.model import DiffusionModel

    standard, mean, std = _coordinates(config.standardization, Moments.of_table(SourceTable(source, labels=False)))
    made = factories.components(config, _Facts(source.event_shape, std, source.classes))
    classes = config.part("network").get("classes")
    names = None if classes is None else source.class_names
    model = DiffusionModel(
        made.sde, made.denoiser, source.event_shape, standard, names, source.levels, mean=mean, std=std
    )
    return model, made.objective


def _coordinates(wanted: str, found: Moments) -> tuple[Standardization, float, float]:
    """The standardisation, and the data's mean and standard deviation under it."""
    from sde_diffusion.standardization import Standardization

    measured = Standardization.of_moments(found)
    if wanted == "data":
        return measured, 0.0, 1.0
    return Standardization.identity(), *found.overall()


def load_model(folder: Path, device: torch.device) -> DiffusionModel:
    """The model of a run, with the averaged weights of its newest whole checkpoint; or that of a shared folder.

    Raises ValueError for what is neither, CheckpointError (a ValueError) for damaged or foreign checkpoints.
    """
    from sde_diffusion.model import DiffusionModel

    return DiffusionModel.load(folder, device=device)


def data_of(model: DiffusionModel) -> DataSource:
    """The data that the model was trained on, in their own units; ValueError for a model whose folder does not name them."""
    part = data_spec(model)
    if part is None:
        raise ValueError(
            "this folder does not name the data that its model was trained on (an array given in Python, or an imported "
            "model); name a run of `train`"
        )
    return factories.data(part)


def standardised_data_of(model: DiffusionModel) -> DataSource:
    """The same in the model's coordinates."""
    from sde_diffusion.data.standardised import Standardised

    return Standardised(data_of(model), model.standardization)


def data_spec(model: DiffusionModel) -> Spec | None:
    """The name of the model's data with its arguments; None where its folder has none that the command line can read."""
    from sde_diffusion.model import GIVEN

    found = model.run.get("data")
    return None if not found or found.get("name") == GIVEN else check_spec(found, "data")


def objective_of(model: DiffusionModel) -> Any:
    """The loss that the model was trained with; ValueError where its folder does not say."""
    found = model.run.get("objective")
    if not found:
        raise ValueError("this folder does not say how its model was trained; name a run of `train`")
    return factories.objective(check_spec(found, "objective"), model.std)


def label_of(model: DiffusionModel, label: str | None) -> int | None:
    """The number of a class from its number or its name. ValueError for a model or a class that does not go with it."""
    if label is not None and model.class_names is None:
        raise ValueError("this model was trained without labels and takes no label; train one with --network.classes")
    return None if label is None else model.condition(1, {"label": label})["label"]
