"""A run's model: trained into a folder, or loaded from one. Imported when a command needs a model."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli import factories
from sde_diffusion.cli.callback_settings import CallbackSettings, WatchedRun, callbacks_of
from sde_diffusion.cli.condition_file import rows_of_file
from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.specs import check_spec as check_data_spec
from sde_diffusion.cli.start import Start, read_start
from sde_diffusion.data_paths import read_alike
from sde_diffusion.specs import Spec, check_spec, to_text
from sde_diffusion.training.settings import ComputeSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor, nn

    from sde_diffusion.data import DataSource
    from sde_diffusion.data.moments import Moments
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.standardization import Standardization
    from sde_diffusion.training.distributed.process_group import ProcessGroup


DATA_SUMMARY = "data.json"
"""What the data of a run are, in its folder."""


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
    start: str | None = None,
) -> DiffusionModel:
    """Train in `folder`, going on from its newest checkpoint; at once when the run is finished.

    In a `world` of several processes all call, and the main one writes. `watch` says which callbacks look on; none without
    it. `start` is the folder of a model to begin with. Raises ValueError when the folder holds another run or something else,
    or a package for `watch` is missing; CheckpointError, FolderInUse as `train` does. What is refused has changed no file.
    """
    from sde_diffusion.data.summary import summary_of
    from sde_diffusion.training import ProcessGroup

    source = factories.data(config.part("data"))
    begun = None if start is None else read_start(start, config, source)
    config = factories.with_network(config if begun is None else begun.config, source)
    world = world or ProcessGroup()
    summary = summary_of(source) if world.is_main else {}
    shared = begun is None and world.size > 1 and compute is not None and compute.engine == "sharded"
    model, objective = new_model(config, source, begun, _without_numbers if shared else None)
    recorded = config.as_dict() | ({} if begun is None else {"start": begun.record})
    conditional = True if model.class_names is not None else None
    given = True if model.condition_columns is not None else None
    more: dict[str, Any] = {}
    if watch is not None:
        seen = WatchedRun(folder, model, objective, source, config.training.seed)
        more["callbacks"] = callbacks_of(watch, seen)
    return model.fit(
        source, conditional, condition=given, settings=config.training, folder=folder, objective=objective, device=device,
        compute=compute or ComputeSettings(), world=world, config=recorded,
        augment=factories.augmentation(config.part("augment")),
        on_start=lambda: _keep_and_show(folder, summary, _network_line(config.part("network"), begun)), **more,
    )  # fmt: skip


def _keep_and_show(folder: Path, summary: dict[str, Any], network: str) -> None:
    """The summary of the data: written into the run's folder, then shown beside the progress."""
    from sde_diffusion.data.summary import lines_of
    from sde_diffusion.io.atomic import to_json
    from sde_diffusion.io.terminal import complain

    _keep(folder / DATA_SUMMARY, to_json(summary))
    complain("\n".join([*lines_of(summary), network]))


def _network_line(part: Spec, begun: Start | None) -> str:
    """The network, whether it takes the labels and the condition, and what it begins with."""
    words = "" if part.get("classes") is None else ", class-conditional"
    line = f"  network: {part['name']}{words}" + (", takes the conditions" if part.get("context") else "")
    if begun is None:
        return line
    own = begun.config
    named = f"process {own.part('sde')['name']}, parameterization {own.part('parameterization')['name']}"
    return f"{line}\n  begins with the weights in {begun.record['folder']}; {named}, standardization as there"


def _keep(path: Path, content: bytes) -> None:
    """Write a file that does not hold this already."""
    from sde_diffusion.io.atomic import replace_file

    if not path.is_file() or path.read_bytes() != content:
        replace_file(path, content)


def _without_numbers(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """The network on the meta device, see `first_weights`; a whole one, with a warning, where it cannot be built so."""
    from sde_diffusion.sharing.run import seeded
    from sde_diffusion.training.distributed.first_weights import NumbersNeeded, deferred

    try:
        return deferred(seed, make)
    except NumbersNeeded as error:
        warnings.warn(
            f"{str(error).partition(';')[0]}; each process begins with all of it, see that it fits", stacklevel=1
        )
        return seeded(seed, make)


def new_model(
    config: RunConfig, source: DataSource, begun: Start | None = None, begin: factories.Begin | None = None
) -> tuple[DiffusionModel, Any]:
    """The model before its first step, its weights a function of the configuration's seed or those to begin with; and the loss.

    `begin`: see `factories.network`.
    """
    from sde_diffusion.conditions import ConditionColumns
    from sde_diffusion.data.moments import Moments
    from sde_diffusion.data.tables import SourceTable
    from sde_diffusion.model import DiffusionModel

    found = Moments.of_table(SourceTable(source, labels=False))
    standard, mean, std = begun.coordinates(found) if begun else _coordinates(config.standardization, found)
    made = factories.components(config, _Facts(source.event_shape, std, source.classes), begin)
    classes = config.part("network").get("classes")
    names = None if classes is None else source.class_names
    columns = None if source.condition_names is None else ConditionColumns.of(source, True, config.condition_dropout)
    model = DiffusionModel(
        made.sde, made.denoiser, source.event_shape, standard, names, source.levels, mean=mean, std=std,
        condition_columns=columns if begun is None else begun.columns(source),
    )  # fmt: skip
    if begun is not None:
        begun.fill(model.denoiser)
    return model, made.objective


def _coordinates(wanted: str, found: Moments) -> tuple[Standardization, float, float]:
    """The standardisation, and the data's mean and standard deviation under it."""
    from sde_diffusion.standardization import Standardization

    measured = Standardization.of_moments(found)
    if wanted == "data":
        return measured, 0.0, 1.0
    return Standardization.identity(), *found.overall()


def load_model(folder: Path, device: torch.device, checkpoint: str | None = None) -> DiffusionModel:
    """The model of a run, with the averaged weights of its newest whole checkpoint; or that of a shared folder.

    `checkpoint` is newest, best or a step, of a run.

    Raises ValueError for what is neither, CheckpointError (a ValueError) for damaged or foreign checkpoints.
    """
    from sde_diffusion.model import DiffusionModel

    return DiffusionModel.load(folder, device=device, checkpoint=checkpoint)


def data_of(model: DiffusionModel, asked: Any = None) -> DataSource:
    """The data that the model was trained on, in their own units; `asked` says where they are now, a path or a data set.

    Raises ValueError for a model whose folder does not name its data, and for a place where there are others; warns where
    they have changed at the place that the folder names.
    """
    own, given = data_spec(model), None if asked is None else check_data_spec(asked, "data")
    part = own if given is None else read_alike(given, own)
    if part is None:
        raise ValueError(
            "this folder does not name the data that its model was trained on (an array given in Python, or an imported "
            "model); name a run of `train`"
        )
    source = factories.data(part)
    _compare(model, source, None if given is None else to_text(given))
    return source


def _compare(model: DiffusionModel, source: DataSource, asked: str | None) -> None:
    """Compare the data with those that the model was trained on, where their digest is known."""
    if tuple(source.event_shape) != tuple(model.event_shape):
        raise ValueError(
            f"the run was trained on samples of shape {tuple(model.event_shape)}, these have {tuple(source.event_shape)}"
        )
    labels, columns = None if model.class_names is None else True, model.condition_columns
    fits = model.classes in (None, source.classes) and (columns is None or columns.names == source.condition_names)
    given = None if columns is None else True
    if model.data_digest is None or (fits and model.digest_of(source, labels, given) == model.data_digest):
        return
    if asked is not None:
        raise ValueError(
            f"the data {asked} are not those that this run was trained on; name the place of the same data"
        )
    warnings.warn(
        "the run's data have changed since it was trained: what was held out may have been trained on; name a place of the "
        "old ones with --data",
        stacklevel=1,
    )


def standardised_data_of(model: DiffusionModel, asked: Any = None) -> DataSource:
    """The same in the model's coordinates."""
    from sde_diffusion.data.standardised import Standardised

    return Standardised(data_of(model, asked), model.standardization)


def data_spec(model: DiffusionModel) -> Spec | None:
    """The name of the model's data with its arguments; None where its folder has none that the command line can read."""
    from sde_diffusion.sharing.run import GIVEN

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
    if label is not None and model.condition_columns is not None and model.class_names is None:
        names = ", ".join(f"{name}: ..." for name in model.condition_columns.given_names())
        raise ValueError(
            f"this model takes a condition and no label, got --label {label}; write --condition '{{{names}}}'"
        )
    if label is not None and model.class_names is None:
        raise ValueError("this model was trained without labels and takes no label; train one with --network.classes")
    return None if label is None else model.condition(1, {"label": label})["label"]


def condition_of(model: DiffusionModel, asked: Any, count: int | None) -> Tensor | None:
    """The numbers of `sample --condition`, float64 (1, K) or (N, K); None where none are asked for.

    `asked`: {name: number}, a list of numbers, or a file with a row for each sample: a table with these columns, or an array.
    Raises ValueError for a model that takes none, other names or shapes, and other than `count` rows where there is a count.
    """
    columns = model.condition_columns
    if columns is None or asked is None:
        model.condition(1, {"condition": asked})  # refused where one is missing or not wanted
        return None
    rows = rows_of_file(asked, columns) if isinstance(asked, str) else columns.rows(1, asked)
    rows = columns.rows(len(rows), rows)
    if len(rows) > 1 and count not in (None, len(rows)):
        raise ValueError(f"{asked!r} has {len(rows)} rows for {count} samples; leave count out, or give one row")
    return rows


def context_of(model: DiffusionModel, source: DataSource, count: int) -> dict[str, Tensor]:
    """What the network is given of the conditions of the first `count` held-out examples; nothing without conditions."""
    import torch

    rows = source.condition_rows(torch.arange(count), "held_out")
    return {} if model.condition_columns is None else model.condition(count, {"condition": rows})


def check_unconditional(model: DiffusionModel, command: str) -> DiffusionModel:
    """The model, where it has a law without a condition, which `command` asks for; else ValueError."""
    if model.condition_columns is not None and model.condition_columns.dropout == 0:
        raise ValueError(
            f"{command} asks the model without its condition, and this one was trained without dropping it; train one with "
            "--condition_dropout 0.1"
        )
    return model
