"""Draw samples from a trained run: a picture, the numbers, and what they cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.cli.options import positional
from sde_diffusion.cli.places import folder_of, run_folder

if TYPE_CHECKING:
    from sde_diffusion.cli.drawing import Drawn
    from sde_diffusion.cli.samplers import Recipe


@dataclass(frozen=True)
class Settings:
    """What to draw.

    Attributes:
        run: the run's name or folder.
        sampler: a named sampler, reversal/method/steps/spacing (`info` lists them), or a file of `tune`.
        steps: another number of steps than the sampler's own.
        tol: a tolerance in the place of steps: every sample takes steps of its own; `info` names the methods.
        count: how many samples.
        seed: from which sample i is made, whatever the count.
        label: the class to draw, for a network that was told the labels.
        chunk: how many samples the network sees at once.
        output: another folder than RUN/samples/SAMPLER-STEPS-seedSEED.
        device: auto, cpu or cuda.
    """

    run: str = positional()
    sampler: str = "data_adams"
    steps: int | None = None
    tol: float | None = None
    count: int = 64
    seed: int = 0
    label: int | None = None
    chunk: int = 64
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("count", "chunk", "steps"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 10**7:
                raise ValueError(f"{name} is between 1 and 10000000, got {value}; correct it")
        if self.steps is not None and self.tol is not None:
            raise ValueError(f"steps or tol, not both, got {self.steps} and {self.tol}; leave one out")


def run(settings: Settings) -> None:
    """Draw, and write samples.png, samples.safetensors and samples.json."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.drawing import draw
    from sde_diffusion.cli.model import check_label, load_model
    from sde_diffusion.cli.outputs import claim
    from sde_diffusion.cli.samplers import sampler

    source, recipe = run_folder(settings.run), sampler(settings.sampler)
    recipe = recipe if settings.steps is None else recipe.with_steps(settings.steps)
    recipe = recipe if settings.tol is None else recipe.with_tol(settings.tol)
    model = load_model(source, device_of(settings.device))
    check_label(model, settings.label)
    folder = source / "samples" / _slug(recipe, settings) if settings.output is None else folder_of(settings.output)
    claim(folder, "sample", {**asdict(settings), "run": str(source), "recipe": str(recipe)})
    drawn = draw(recipe, model, settings.count, settings.seed, settings.chunk, settings.label)
    write(folder, drawn, recipe, settings.seed)
    print(f"{settings.count} samples, {drawn.evaluations:g} evaluations each, {drawn.seconds:.2f} s: {folder}")


def write(folder: Path, drawn: Drawn, recipe: Recipe, seed: int) -> None:
    """The samples as a picture and as numbers, with what they cost as JSON."""
    from safetensors.torch import save_file

    from sde_diffusion.report.shown import shown
    from sde_diffusion.training.files import replace_file, to_json

    save_file({"x": drawn.x.contiguous()}, folder / "samples.safetensors")
    shown(drawn.x, folder / "samples.png")
    facts = {"sampler": str(recipe), "count": len(drawn.x), "seed": seed}
    cost = {"evaluations": drawn.evaluations, "seconds": drawn.seconds}
    replace_file(folder / "samples.json", to_json(facts | cost))


def _slug(recipe: Recipe, settings: Settings) -> str:
    """A folder's name for a recipe: its letters and digits."""
    label = f"-label{settings.label}" if settings.label is not None else ""
    words = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in str(recipe))
    return f"{words[:120]}-seed{settings.seed}-n{settings.count}{label}"
