"""Put a run's model into a folder for others: weights, a description as plain data and a model card.

With `--format diffusers` the folder is that of a diffusers pipeline, for a model trained with `--network diffusers_unet
--parameterization 'noise(data_std=1)'` or another of its three meanings.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import folder_of, run_folder
from sde_diffusion.cli.options import also_called, positional
from sde_diffusion.io.plain import read_plain
from sde_diffusion.io.terminal import say
from sde_diffusion.specs import to_text

if TYPE_CHECKING:
    from sde_diffusion.sharing import Card


@dataclass(frozen=True)
class Settings:
    """What to share, and as what.

    Attributes:
        run: the run's name or folder.
        folder: where to; it must not exist, or be empty.
        title: what the card calls the model; the run's name unless given.
        licence: an identifier such as apache-2.0, for the card.
        words: anything else that the card should say, in Markdown without HTML.
        format: ours, or diffusers for the folder of a DDIMPipeline, which has no card.
    """

    run: str = positional()
    folder: str = positional()
    title: str | None = also_called("name", default=None)
    licence: str = also_called("license", default="")
    words: str = also_called("description", default="")
    format: str = "ours"

    def __post_init__(self) -> None:
        if self.format not in ("ours", "diffusers"):
            raise ValueError(f"format is ours or diffusers, got {self.format!r}; choose one")


def run(settings: Settings) -> None:
    """Write the folder; the figures of `compare`, where it was run, go onto the card."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import data_spec, load_model
    from sde_diffusion.sharing import to_diffusers
    from sde_diffusion.sharing.safe_load import check_free

    source, folder = run_folder(settings.run), folder_of(settings.folder)
    check_free(folder)
    model = load_model(source, device_of("cpu"))
    model.run = without_paths(model.run)
    if settings.format == "diffusers":
        to_diffusers(folder, model.denoiser, model.sde, model.event_shape, model.standardization)
    else:
        data = data_spec(model)
        model.save(folder, card(settings, source, "" if data is None else to_text(data)))
    say(f"{folder}; next: sde-diffusion sample {folder}")


def without_paths(value: Any) -> Any:
    """Plain data in which a path from the root or the home folder is its last name: where things lie here is private."""
    if isinstance(value, str) and (PurePath(value).is_absolute() or value.startswith("~")):
        return PurePath(value).name
    if isinstance(value, list | tuple):
        return [without_paths(item) for item in value]
    return {key: without_paths(item) for key, item in value.items()} if isinstance(value, dict) else value


def card(settings: Settings, source: Path, data: str) -> Card:
    """The card: the run's data, and the best sampler of its comparison by the first distance, with all its figures.

    A damaged comparison is left out with a warning.
    """
    from sde_diffusion.sharing import Card

    given: dict[str, Any] = {
        "title": settings.title or source.name, "data": data, "licence": settings.licence, "words": settings.words
    }  # fmt: skip
    path = source / "compare" / "comparison.json"
    try:
        measured = _measured(read_plain(path)) if path.exists() else {}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        warnings.warn(f"{path} is damaged, and the card has no figures ({error}); run `compare` again", stacklevel=2)
        measured = {}
    return Card(**measured, **given)


def _measured(found: dict[str, Any]) -> dict[str, Any]:
    """The best sampler of a comparison, its cost and its figures."""
    from sde_diffusion.sharing import Figure

    results = [one for one in found["results"] if one["scores"] and one["scores"][0]["value"] is not None]
    if not results:
        return {}
    best = min(results, key=lambda one: float(one["scores"][0]["value"]))
    figures = [
        Figure(str(s["name"]), float(s["value"]), int(found["count"]), int(found["seed"]), (s["high"] - s["low"]) / 2)
        for s in best["scores"]
    ]
    return {"solver": str(best["sampler"]), "evaluations": float(best["evaluations"]), "figures": figures}
