"""A model as plain data and weights: a folder that anybody may open, and the record of a run.

    model.safetensors    the weights
    config.json          the description: network, parameterisation and process, each a name with arguments; the shape of a
                         sample, the standardisation, classes, levels; the run that made it, if known
    README.md            the model card

The folder is there in full or not at all. Opening one runs nothing in it: names are looked up among the implementations
at hand, arguments are plain data, and a network is compared with the shapes of the weights before it gets memory. A run's
folder has the same description as `model.json`, and its weights in checkpoints.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from sde_diffusion.conditions import ConditionColumns
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.io.atomic import new_folder, sync, to_json
from sde_diffusion.io.plain import LARGEST, check_numbers, check_size, read_plain
from sde_diffusion.resolver import build, is_custom, spec_of
from sde_diffusion.sharing import safe_load
from sde_diffusion.sharing.card import Card, readme
from sde_diffusion.sharing.hub import fetched
from sde_diffusion.specs import Spec, check_spec
from sde_diffusion.standardization import Standardization

FORMAT, VERSION = "sde_diffusion model", 2
WEIGHTS, CONFIG, CARD, RECORD = "model.safetensors", "config.json", "README.md", "model.json"
DIGEST = "description"
"""The name under which the weights' file keeps the digest of the description that it was saved with."""
KINDS = ("network", "parameterization", "process")
"""The parts of a description that are names with arguments; `resolver` knows the kinds by these words."""

_FACTS = ("event_shape", "standardization", "mean", "std", "class_names", "levels", "data_digest", "run", "trained")
_FIELDS = {"format", "version", *KINDS, *_FACTS}
_LONG = ("standardization", "condition")  # as long as a table is wide
CONDITION = "condition"
"""The columns that a model is conditioned on, in the description of one that is."""

Description = dict[str, Any]
Fields = dict[str, Any]
"""The fields of a `DiffusionModel`."""


def describe(model: Any) -> Description:
    """A `DiffusionModel` as plain data, without its weights.

    A network of a class that no package holds is recorded by its class, and cannot be built again from the record. Raises
    TypeError for a denoiser that is no `Preconditioned` network, or arguments that are not plain data.
    """
    if type(model.denoiser) is not Preconditioned:
        raise TypeError(
            f"a Preconditioned network is wanted, got {type(model.denoiser).__name__}; give the denoiser within"
        )
    things = {
        "network": model.denoiser.backbone, "parameterization": model.denoiser.parameterization, "process": model.sde
    }  # fmt: skip
    names = None if model.class_names is None else list(model.class_names)
    facts = {
        "event_shape": list(model.event_shape), "standardization": model.standardization.as_dict(), "mean": model.mean,
        "std": model.std, "class_names": names, "levels": model.levels, "data_digest": model.data_digest, "run": model.run,
        "trained": model.trained,
    }  # fmt: skip
    columns = {} if model.condition_columns is None else {CONDITION: model.condition_columns.as_dict()}
    described = {
        "format": FORMAT,
        "version": VERSION,
        **{kind: spec_of(kind, one) for kind, one in things.items()},
        **facts,
        **columns,
    }
    as_json(described)
    return described


def as_json(described: Description) -> bytes:
    """The description as a file. Raises TypeError for what is not plain data."""
    try:
        check_size({name: value for name, value in described.items() if name not in _LONG})
        for name in KINDS:
            check_numbers(described[name])
        return to_json(described)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the model has an argument that is no plain data ({error}); build it with plain ones"
        ) from error


def digest(described: Description) -> str:
    """SHA-256 of a description: what a run's checkpoints keep of it, less its configuration and whether it is trained."""
    kept = {name: value for name, value in described.items() if name not in ("run", "trained")}
    return hashlib.sha256(to_json(kept)).hexdigest()


def write_pretrained(folder: str | Path, model: Any, card: Card | None = None) -> Path:
    """Write a `DiffusionModel` into a folder, which must not exist or be empty, and return its path.

    Raises:
        TypeError: parts that cannot be found again by name, or an argument that is not plain.
        OSError: it cannot be written, or it is there already.
    """
    path = Path(folder)
    safe_load.check_free(path)
    described = describe(model)
    _refuse_custom(described)
    weights = {name: value.detach().cpu().contiguous() for name, value in model.denoiser.state_dict().items()}
    parameters = sum(parameter.numel() for parameter in model.denoiser.parameters())
    with safe_load.written(path), new_folder(path) as draft:
        save_file(weights, draft / WEIGHTS, {DIGEST: digest(described)})
        (draft / CONFIG).write_bytes(as_json(described))
        (draft / CARD).write_text(readme(card or Card(), described, parameters), encoding="utf-8")
        for name in (WEIGHTS, CONFIG, CARD):
            sync(draft / name)
    return path


def read_pretrained(
    folder: str | Path, revision: str | None = None, dtype: torch.dtype | None = torch.float32
) -> Fields:
    """The fields of the model in a folder, or of a name such as "user/name" on the Hub; in eval mode on the CPU.

    Weights become `dtype`, whatever they were saved in; None leaves them as they are. A description that was changed after
    the weights were saved is refused; weights that another program has written again carry no digest, and none is compared.

    Raises ValueError, in a sentence, for a folder that is damaged, hostile or of another kind.
    """
    path = fetched(folder, revision)
    safe_load.check_folder(path)
    described = read_description(path / CONFIG)
    stored = safe_load.read_metadata(path / WEIGHTS).get(DIGEST)
    if stored not in (None, digest(described)):
        raise ValueError(
            f"{path / CONFIG} is not the one that {WEIGHTS} was saved with; take an undamaged copy of the folder"
        )

    def load(make: Callable[[], Preconditioned]) -> Preconditioned:
        return safe_load.built(make, path / WEIGHTS, path / CONFIG, dtype).eval().requires_grad_(False)

    return fields_of(described, path / CONFIG, load)


def read_description(path: Path) -> Description:
    """The description in a file. Raises ValueError, in a sentence, for anything else."""
    described = read_plain(path)
    if described.get("format") != FORMAT or described.get("version") != VERSION:
        raise ValueError(
            f"{path} is no description of a model of version {VERSION} (format {str(described.get('format'))[:40]!r}, "
            f"version {str(described.get('version'))[:20]}); make the folder again with this version"
        )
    if described.keys() - {CONDITION} != _FIELDS:
        wrong = sorted((described.keys() - {CONDITION}) ^ _FIELDS)[0][:40]
        raise ValueError(f"{path} lacks or does not know {wrong!r}; take an undamaged copy")
    return described


def is_pretrained(folder: Path) -> bool:
    """Whether a folder says that it is one of `write_pretrained`."""
    try:
        return read_plain(folder / CONFIG).get("format") == FORMAT
    except ValueError:
        return False


def fields_of(
    described: Description,
    source: Path,
    load: Callable[[Callable[[], Preconditioned]], Preconditioned],
    network: Any = None,
) -> Fields:
    """What a description says, with the denoiser that `load` gives for a function that makes the untrained one.

    `network` takes the place of one that cannot be built from its record.
    """

    def part(name: str) -> Any:
        try:
            check_numbers(described[name])
            return build(name, check_spec(described[name], name))
        except Exception as error:
            raise ValueError(f"its {name}: {error}") from error

    def make() -> Preconditioned:
        return Preconditioned(part("network") if network is None else network, part("parameterization"))

    facts = _facts(described, source)
    return {"sde": safe_load.plainly(lambda: part("process"), source), "denoiser": load(make), **facts}


def _facts(described: Description, source: Path) -> Fields:
    shape, names, run, levels = (described[name] for name in ("event_shape", "class_names", "run", "levels"))
    sized = isinstance(shape, list) and shape and all(type(n) is int and 0 < n <= LARGEST for n in shape)
    finite = all(isinstance(described[n], int | float) and math.isfinite(described[n]) for n in ("mean", "std"))
    named = names is None or (isinstance(names, list) and all(isinstance(name, str) for name in names))
    if not (
        sized
        and finite
        and described["std"] > 0
        and named
        and isinstance(run, dict)
        and isinstance(levels, int | None)
        and isinstance(described["trained"], bool | None)
    ):
        raise ValueError(f"{source} does not say what the samples are; take an undamaged copy")
    return {
        "event_shape": tuple(shape),
        "standardization": safe_load.plainly(lambda: Standardization.of_dict(described["standardization"]), source),
        "mean": float(described["mean"]),
        "std": float(described["std"]),
        "class_names": None if names is None else tuple(names),
        "levels": levels,
        "data_digest": described["data_digest"],
        "run": run,
        "trained": described["trained"],
        "condition_columns": _columns(described, source),
    }


def _columns(described: Description, source: Path) -> ConditionColumns | None:
    stored = described.get(CONDITION)
    return None if stored is None else safe_load.plainly(lambda: ConditionColumns.of_dict(stored), source)


def _refuse_custom(described: dict[str, Spec]) -> None:
    for kind in KINDS:
        if is_custom(described[kind]):
            raise TypeError(
                f"{described[kind].get('class')} is none of the implementations of a {kind} and cannot be found again by a "
                "name; offer it as a plug-in, or share the run itself"
            )
