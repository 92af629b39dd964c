"""The model card: what a model was made of, and how well it does by which measure.

References:
    Mitchell et al., Model Cards for Model Reporting, 2019, https://arxiv.org/abs/1810.03993
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A measured quality: the metric, its value, over how many samples of which seed, and its standard error if known."""

    metric: str
    value: float
    samples: int
    seed: int
    error: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for a figure over no samples."""
        if self.samples < 1:
            raise ValueError(f"a figure is measured on at least one sample, got {self.samples}; say how many")


@dataclass(frozen=True)
class Card:
    """What cannot be read off the model itself.

    Attributes:
        title: what the model is called.
        data: what it was trained on, in words.
        solver: the sampler that the figures are of, as `sde-diffusion sample --sampler` takes it.
        evaluations: evaluations of the network for each sample (NFE).
        figures: how well it does.
        licence: an identifier of the Hub, such as apache-2.0.
        words: anything else, in Markdown without HTML.
    """

    title: str = "A diffusion model"
    data: str = ""
    solver: str = ""
    evaluations: float | None = None
    figures: Sequence[Figure] = ()
    licence: str = ""
    words: str = ""


def readme(card: Card, described: Mapping[str, Any], parameters: int) -> str:
    """The text of README.md: the front matter that the Hub reads, the facts, the figures, and how to use the model."""
    rows = [
        ("trained on", card.data or "not said"),
        ("network", _part(described["network"])),
        ("parameters", f"{parameters:,}"),
        ("output means", _part(described["parameterization"])),
        ("process", _part(described["process"])),
        ("events", " x ".join(map(str, described["event_shape"]))),
        ("solver", card.solver or "not said"),
        ("evaluations of the network a sample", "not said" if card.evaluations is None else f"{card.evaluations:g}"),
    ]
    if "condition" in described:
        rows.insert(6, ("conditioned on", ", ".join(described["condition"]["names"])))
    facts = ["| | |", "| :-- | :-- |", *(f"| {name} | {_cell(value)} |" for name, value in rows)]
    parts = [
        _front(card),
        f"# {_line(card.title)}",
        "\n".join(facts),
        _figures(card.figures),
        card.words.replace("<", "&lt;"),
        _USE,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_USE = """## Use

```python
from sde_diffusion import DiffusionModel

model = DiffusionModel.load("FOLDER OR NAME ON THE HUB")
x = model.sample(16, nfe=20)
```"""


def _front(card: Card) -> str:
    licence = [f"license: {json.dumps(_line(card.licence))}"] if card.licence else []
    return "\n".join(["---", "library_name: sde-diffusion", *licence, "tags: [diffusion, score-based]", "---"])


def _figures(figures: Sequence[Figure]) -> str:
    if not figures:
        return ""
    rows = [
        f"| {_cell(f.metric)} | {f.value:g}{'' if f.error is None else f' +- {f.error:g}'} | {f.samples} | {f.seed} |"
        for f in figures
    ]
    return "\n".join(["| metric | value | samples | seed |", "| :-- | --: | --: | --: |", *rows])


def _part(part: Mapping[str, Any]) -> str:
    shown = [f"{name}={_short(value)}" for name, value in part.items() if name != "name"]
    return f"{part['name']}({', '.join(shown)})"


def _short(value: Any) -> str:
    return f"[{len(value)} numbers]" if isinstance(value, Sequence) and len(value) > 12 else repr(value)


def _line(text: str) -> str:
    """One line of Markdown that holds no HTML."""
    return html.escape(" ".join(str(text).split()), quote=False)


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")
