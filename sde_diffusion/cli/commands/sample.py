"""Sample from a trained run: a picture, the numbers, and what they cost.

A job that was interrupted goes on when asked for again. Under torchrun the processes share it, and its samples are those
of one: `torchrun --nproc-per-node 8 --no-python sde-diffusion sample RUN --count 50000 --chunk 512`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.io.terminal import say

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from sde_diffusion.cli.generate_job import Job
    from sde_diffusion.evaluation.generate import Generated
    from sde_diffusion.sampling.sampler import Sampler
    from sde_diffusion.training.distributed.process_group import ProcessGroup


@dataclass(frozen=True)
class Settings:
    """What to sample.

    Attributes:
        run: the run's name or folder.
        sampler: a sampler by name, such as default or dpmpp_2m_karras (`info --kind sampler` lists them), or a file of `tune`.
        nfe: calls of the network for each sample; the sampler's own number unless given.
        steps: a number of steps in the place of nfe.
        tol: a tolerance in the place of nfe, for samplers with a step size for each sample (adaptive_ode, adaptive_sde).
        count: the number of samples; 64 unless given, or one for each row of the condition.
        seed: sample i is a function of the seed and i, whatever the count.
        label: the class to sample, by number or name, for a class-conditional model.
        condition: numbers for the columns that the model is conditioned on, for all samples, such as
            '{weight: 2800, power: 110}'; or a file with a row for each sample, a table with these columns or an array.
        guidance: cfg(weight=3), ramped_cfg(weight=3), apg(weight=3) or autoguidance(bad=FOLDER, weight=2), for a
            conditional model; `info --kind guidance` lists them.
        chunk: how many samples the network gets at once.
        checkpoint: whose weights, of a run: newest, best (by what `train --watch.best` says) or the number of a step.
        output: another folder than RUN/samples/SAMPLER-STEPS-seedSEED.
        device: auto, cpu or cuda.
        timeout: seconds to wait for the other processes, when there are several.
    """

    run: str = positional()
    sampler: str = "default"
    nfe: int | None = None
    steps: int | None = None
    tol: float | None = None
    count: int | None = None
    seed: int = 0
    label: str | None = None
    condition: Any = None
    guidance: str | None = None
    chunk: int = 64
    checkpoint: str | None = None
    output: str | None = None
    device: str = "auto"
    timeout: float = 3600.0

    def __post_init__(self) -> None:
        for name in ("count", "chunk", "steps", "nfe"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 10**7:
                raise ValueError(f"{name} is between 1 and 10000000, got {value}; correct it")
        given = [name for name in ("nfe", "steps", "tol") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of nfe, steps and tol, got {' and '.join(given)}; leave one out")


def run(settings: Settings) -> None:
    """Sample, and write samples.png, samples.safetensors and samples.json."""
    source, sampler = run_folder(settings.run), sampler_of(settings)
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.training.distributed.process_group import join_process_group, own_device

    device = own_device(device_of(settings.device).type)
    with join_process_group(device, settings.timeout) as world:
        _sample(settings, source, sampler, device, world)


def sampler_of(settings: Settings) -> Sampler:
    """The named sampler with the budget that was asked for."""
    from sde_diffusion.cli.sampler_specs import sampler

    chosen = sampler(settings.sampler)
    chosen = chosen if settings.nfe is None else chosen.with_nfe(settings.nfe)
    chosen = chosen if settings.steps is None else chosen.with_steps(settings.steps)
    return chosen if settings.tol is None else chosen.with_tol(settings.tol)


def _sample(settings: Settings, source: Path, sampler: Sampler, device: torch.device, world: ProcessGroup) -> None:
    from sde_diffusion.cli.folders import below, claim_output_folder, ending
    from sde_diffusion.cli.generate_job import Job, delete_chunks, generate_into
    from sde_diffusion.cli.model import condition_of, label_of, load_model
    from sde_diffusion.guidance import by_name

    model = load_model(source, device, settings.checkpoint)
    label, rows = label_of(model, settings.label), condition_of(model, settings.condition, settings.count)
    count = settings.count or (64 if rows is None or len(rows) == 1 else len(rows))
    guide = None if settings.guidance is None else by_name(settings.guidance, model)
    job = Job(sampler, count, settings.seed, settings.chunk, label, rows, settings.guidance, guide)
    if guide is not None and label is None and rows is None and job.guided(model.denoiser).needs_condition:
        raise ValueError(f"{settings.guidance} needs a condition; give one, such as --label 3")
    folder = (
        below(source, "samples", job.name + ending(settings.checkpoint))
        if settings.output is None
        else folder_of(settings.output)
    )
    deciding = {**_deciding(settings, job), "run": str(source), "sampled_by": str(sampler)}
    world.run_on_main(lambda: str(claim_output_folder(folder, "sample", deciding)))
    generated = generate_into(folder, job, model, world)
    if generated is not None:
        given = None if rows is None else rows.expand(count, -1)
        write(folder, generated, sampler, settings.seed, given)
        delete_chunks(folder)
        say(f"{count} samples, {generated.evaluations:g} evaluations each, {generated.seconds:.2f} s: {folder}")


def _deciding(settings: Settings, job: Job) -> dict[str, Any]:
    """What decides the samples."""
    named = {name: value for name, value in asdict(settings).items() if name not in ("timeout", "condition")}
    digest = job.condition_digest
    if settings.checkpoint is None:
        del named["checkpoint"]
    return {**named, "count": job.count} | ({} if digest is None else {"condition": digest})


def write(folder: Path, generated: Generated, sampler: Sampler, seed: int, condition: Tensor | None = None) -> None:
    """The samples, and the numbers (N, K) that they are conditioned on, as a picture and as numbers; their cost as JSON."""
    from safetensors.torch import save

    from sde_diffusion.io.atomic import replace_file, to_json
    from sde_diffusion.report.plots.images import plot_samples

    given = {} if condition is None else {"condition": condition.contiguous()}
    replace_file(folder / "samples.safetensors", save({"x": generated.x.contiguous(), **given}))
    plot_samples(generated.x, folder / "samples.png")
    facts = {"sampler": str(sampler), "count": len(generated.x), "seed": seed}
    cost = {"evaluations": generated.evaluations, "seconds": generated.seconds}
    replace_file(folder / "samples.json", to_json(facts | cost))
