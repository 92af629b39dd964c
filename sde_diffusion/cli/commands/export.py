"""Put a run's model into a folder for others: weights, a description as plain data and a model card.

With `--format diffusers` the folder is that of a diffusers pipeline, for a model trained with `--network diffusers_unet
--parameterization 'noise(data_std=1)'` or another of its three meanings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.specs import to_text

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
        words: anything else that the card should say, in Markdown.
        format: ours, or diffusers for the folder of a DDIMPipeline, which has no card.
    """

    run: str = positional()
    folder: str = positional()
    title: str | None = None
    licence: str = ""
    words: str = ""
    format: str = "ours"

    def __post_init__(self) -> None:
        if self.format not in ("ours", "diffusers"):
            raise ValueError(f"format is ours or diffusers, got {self.format!r}; choose one")


def run(settings: Settings) -> None:
    """Write the folder; the figures of `compare`, where it was run, go onto the card."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import load_model
    from sde_diffusion.sharing import save_pretrained, to_diffusers

    source, folder = run_folder(settings.run), folder_of(settings.folder)
    model = load_model(source, device_of("cpu"))
    facts = model.facts
    if settings.format == "diffusers":
        to_diffusers(folder, model.denoiser, model.sde, facts.event_shape)
    else:
        save_pretrained(
            folder, model.denoiser, model.sde, facts.event_shape, mean=facts.mean, std=facts.std,
            card=card(settings, source, to_text(model.config.part("data"))), run=model.config.as_dict(),
        )  # fmt: skip
    print(f"{folder}; next: sde-diffusion sample {folder}")


def card(settings: Settings, source: Path, data: str) -> Card:
    """The card: the run's data, and the best sampler of its comparison by the first distance, with all its figures."""
    from sde_diffusion.sharing import Card, Figure

    told: dict[str, Any] = {
        "title": settings.title or source.name, "data": data, "licence": settings.licence, "words": settings.words
    }  # fmt: skip
    path = source / "compare" / "comparison.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {"results": []}
    results = [one for one in found["results"] if one["scores"] and one["scores"][0]["value"] is not None]
    if not results:
        return Card(**told)
    best = min(results, key=lambda one: one["scores"][0]["value"])
    figures = [
        Figure(s["name"], s["value"], found["count"], found["seed"], (s["high"] - s["low"]) / 2) for s in best["scores"]
    ]
    return Card(solver=best["sampler"], evaluations=best["evaluations"], figures=figures, **told)
