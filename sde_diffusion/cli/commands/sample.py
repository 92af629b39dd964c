"""Draw samples from a trained run: a picture, the numbers, and what they cost.

A job that was interrupted goes on when asked for again. Under torchrun the processes share it, and its samples are those
of one: `torchrun --nproc-per-node 8 --no-python sde-diffusion sample RUN --count 50000 --chunk 512`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import folder_of, run_folder
from sde_diffusion.cli.options import positional

if TYPE_CHECKING:
    import torch

    from sde_diffusion.cli.sampler_specs import Recipe
    from sde_diffusion.evaluation.generate import Generated
    from sde_diffusion.training.distributed.process_group import ProcessGroup


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
        timeout: seconds to wait for the other processes, when there are several.
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
    timeout: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("count", "chunk", "steps"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 10**7:
                raise ValueError(f"{name} is between 1 and 10000000, got {value}; correct it")
        if self.steps is not None and self.tol is not None:
            raise ValueError(f"steps or tol, not both, got {self.steps} and {self.tol}; leave one out")


def run(settings: Settings) -> None:
    """Draw, and write samples.png, samples.safetensors and samples.json."""
    source, recipe = run_folder(settings.run), sampler_of(settings)
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.training.distributed.process_group import join_process_group, own_device

    device = own_device(device_of(settings.device).type)
    with join_process_group(device, settings.timeout) as world:
        _draw(settings, source, recipe, device, world)


def sampler_of(settings: Settings) -> Recipe:
    """The named sampler with the number of steps or the tolerance that was asked for."""
    from sde_diffusion.cli.sampler_specs import sampler

    recipe = sampler(settings.sampler)
    recipe = recipe if settings.steps is None else recipe.with_steps(settings.steps)
    return recipe if settings.tol is None else recipe.with_tol(settings.tol)


def _draw(settings: Settings, source: Path, recipe: Recipe, device: torch.device, world: ProcessGroup) -> None:
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.cli.generate_job import Job, delete_chunks, generate_into
    from sde_diffusion.cli.model import check_label, load_model

    model = load_model(source, device)
    check_label(model, settings.label)
    job = Job(recipe, settings.count, settings.seed, settings.chunk, settings.label)
    folder = source / "samples" / job.name if settings.output is None else folder_of(settings.output)
    world.run_on_main(
        lambda: str(
            claim_output_folder(folder, "sample", {**_told(settings), "run": str(source), "recipe": str(recipe)})
        )
    )
    drawn = generate_into(folder, job, model, world)
    if drawn is not None:
        write(folder, drawn, recipe, settings.seed)
        delete_chunks(folder)
        print(f"{settings.count} samples, {drawn.evaluations:g} evaluations each, {drawn.seconds:.2f} s: {folder}")


def _told(settings: Settings) -> dict[str, Any]:
    """What decides the samples."""
    return {name: value for name, value in asdict(settings).items() if name != "timeout"}


def write(folder: Path, drawn: Generated, recipe: Recipe, seed: int) -> None:
    """The samples as a picture and as numbers, with what they cost as JSON."""
    from safetensors.torch import save

    from sde_diffusion.io.atomic import replace_file, to_json
    from sde_diffusion.report.plots.images import plot_samples

    replace_file(folder / "samples.safetensors", save({"x": drawn.x.contiguous()}))
    plot_samples(drawn.x, folder / "samples.png")
    facts = {"sampler": str(recipe), "count": len(drawn.x), "seed": seed}
    cost = {"evaluations": drawn.evaluations, "seconds": drawn.seconds}
    replace_file(folder / "samples.json", to_json(facts | cost))
