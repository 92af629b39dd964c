"""A model in a folder that anybody may open.

    model.safetensors    the weights
    config.json          network, parameterisation and process, each a name with arguments; the samples' shape; the data's
                         mean and standard deviation; the run that made it, if known
    README.md            the model card

The folder is there in full or not at all. Opening one runs nothing in it: names are looked up among the implementations
at hand, arguments are plain data, and a network is held against the weights' shapes before it is given memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.io.atomic import new_folder, sync, to_json
from sde_diffusion.io.plain import LARGEST, check_numbers, check_size, read_plain
from sde_diffusion.resolver import build, is_custom, spec_of
from sde_diffusion.sde import GaussianPrior, LinearSDE
from sde_diffusion.sharing import safe_load
from sde_diffusion.sharing.card import Card, readme
from sde_diffusion.sharing.hub import fetched
from sde_diffusion.specs import Spec, check_spec

FORMAT, VERSION = "sde_diffusion model", 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
KINDS = ("network", "parameterization", "process")
"""The parts of config.json that are names with arguments; `resolver` knows the kinds by these words."""

_FIELDS = {"format", "version", *KINDS, "event_shape", "mean", "std", "run"}


@dataclass(frozen=True)
class Pretrained:
    """A model and what sampling from it needs.

    Attributes:
        denoiser, sde: the model and its process.
        event_shape: the shape *E of a sample.
        mean, std: of all numbers in the data; `prior` is matched to them.
        classes: how many labels the network takes, or None.
        run: the configuration that made it, as plain data, or nothing.
    """

    denoiser: Denoiser
    sde: LinearSDE
    event_shape: tuple[int, ...]
    mean: float = 0.0
    std: float = 1.0
    classes: int | None = None
    run: dict[str, Any] = field(default_factory=dict)

    @property
    def prior(self) -> GaussianPrior:
        """The law at the horizon that has the data's first two moments."""
        return self.sde.prior(self.mean, self.std**2)


def save_pretrained(
    folder: str | Path,
    denoiser: Denoiser,
    sde: LinearSDE,
    event_shape: Sequence[int],
    *,
    mean: float = 0.0,
    std: float = 1.0,
    card: Card | None = None,
    run: dict[str, Any] | None = None,
) -> Path:
    """Write the folder, which must not exist or be empty, and return its path.

    Raises:
        TypeError: the denoiser is not a `Preconditioned` of parts that can be found by name, or an argument is not plain.
        OSError: it cannot be written, or it is there already.
    """
    path = Path(folder)
    safe_load.check_free(path)
    described = _description(denoiser, sde, tuple(event_shape), mean, std, run or {})
    weights = {name: value.detach().cpu().contiguous() for name, value in denoiser.state_dict().items()}
    parameters = sum(parameter.numel() for parameter in denoiser.parameters())
    contents = _as_json(described)
    with new_folder(path) as draft:
        save_file(weights, draft / WEIGHTS)
        (draft / CONFIG).write_bytes(contents)
        (draft / CARD).write_text(readme(card or Card(), described, parameters), encoding="utf-8")
        for name in (WEIGHTS, CONFIG, CARD):
            sync(draft / name)
    return path


def from_pretrained(
    folder: str | Path, revision: str | None = None, dtype: torch.dtype | None = torch.float32
) -> Pretrained:
    """The model of a folder, or of a name such as "user/name" on the Hub (at a `revision`), in eval mode on the CPU.

    The weights are read as `dtype`, whatever they were stored as; None keeps theirs.

    Raises ValueError, in a sentence, for a folder that is damaged, hostile or of another kind.
    """
    path = fetched(folder, revision)
    safe_load.check_folder(path)
    config = read_plain(path / CONFIG)
    if config.get("format") != FORMAT or config.get("version") != VERSION:
        raise ValueError(
            f"{path} is no folder of save_pretrained of version {VERSION} (format {str(config.get('format'))[:40]!r}); "
            "for one of a diffusers pipeline use from_diffusers"
        )
    return _read(config, path, dtype)


def is_pretrained(folder: Path) -> bool:
    """Whether a folder says that it is one of `save_pretrained`."""
    try:
        return read_plain(folder / CONFIG).get("format") == FORMAT
    except ValueError:
        return False


def _description(
    denoiser: Denoiser, sde: LinearSDE, event_shape: tuple[int, ...], mean: float, std: float, run: dict[str, Any]
) -> dict[str, Any]:
    if type(denoiser) is not Preconditioned:
        raise TypeError(
            f"what is shared is a Preconditioned network, got {type(denoiser).__name__}; give the denoiser within"
        )
    things = {"network": denoiser.backbone, "parameterization": denoiser.parameterization, "process": sde}
    parts = {name: _spec_of(name, thing) for name, thing in things.items()}
    known = {"format": FORMAT, "version": VERSION, "event_shape": list(event_shape), "mean": mean, "std": std}
    return {**known, **parts, "run": run}


def _spec_of(kind: str, thing: Any) -> Spec:
    found = spec_of(kind, thing)
    if is_custom(found):
        raise TypeError(
            f"{type(thing).__name__} is none of the implementations of a {kind} and cannot be found again by a name; offer "
            "it as a plug-in, or share the run itself"
        )
    return found


def _as_json(described: dict[str, Any]) -> bytes:
    try:
        check_size(described)
        for name in KINDS:
            check_numbers(described[name])
        return to_json(described)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"the model has an argument that is no plain data ({error}); build it with plain ones"
        ) from error


def _read(config: dict[str, Any], path: Path, dtype: torch.dtype | None) -> Pretrained:
    source = path / CONFIG
    if config.keys() != _FIELDS:
        wrong = sorted(config.keys() ^ _FIELDS)[0][:40]
        raise ValueError(f"{source} lacks or does not know {wrong!r}; take an undamaged copy")
    shape, run = config["event_shape"], config["run"]
    sized = isinstance(shape, list) and shape and all(type(n) is int and 0 < n <= LARGEST for n in shape)
    finite = all(isinstance(config[n], int | float) and math.isfinite(config[n]) for n in ("mean", "std"))
    if not (sized and finite and isinstance(run, dict) and config["std"] > 0):
        raise ValueError(f"{source} does not say what the samples are; take an undamaged copy")

    def part(name: str) -> Any:
        try:
            check_numbers(config[name])
            return build(name, check_spec(config[name], name))
        except Exception as error:
            raise ValueError(f"its {name}: {error}") from error

    def make() -> Preconditioned:
        return Preconditioned(part("network"), part("parameterization"))

    denoiser = safe_load.built(make, path / WEIGHTS, source, dtype).eval().requires_grad_(False)
    sde = safe_load.plainly(lambda: part("process"), source)
    classes = check_spec(config["network"], "network").get("classes")
    return Pretrained(denoiser, sde, tuple(shape), float(config["mean"]), float(config["std"]), classes, run)
