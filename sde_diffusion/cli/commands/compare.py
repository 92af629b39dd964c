"""Compare samplers side by side, on a trained run or on an exact law: error or distance against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import below, folder_of, new_folder, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.results_folder import results_folder
from sde_diffusion.cli.sampler_specs import COMPARED, samplers
from sde_diffusion.cli.specs import NAMES, check_spec
from sde_diffusion.io.terminal import say
from sde_diffusion.specs import Spec, parse, spec, to_text

if TYPE_CHECKING:
    from sde_diffusion.evaluation.comparison import Comparison
    from sde_diffusion.sampling.sampler import Sampler


@dataclass(frozen=True)
class Settings:
    """What to compare.

    Attributes:
        run: the run's name or folder; leave it out to compare on an exact law.
        data: the place where the run's data are now; the one in its record unless given.
        law: an exact law, such as two, ring8 or mixture64; its denoiser is known, so only the sampler's error is measured.
        sde: the process that adds noise to an exact law; a run has its own.
        samplers: a list, such as `--samplers flow_heun ancestral`: names, reversal/method/steps/spacing, or files of `tune`
            (each at its own cost).
        budgets: network evaluations for each sample (NFE), a list such as `--budgets 8 16 32`; each sampler takes as many
            steps as these allow.
        count: number of samples on an exact law; on a run there are as many as held-out examples.
        seed: random seed of all samples.
        output: another folder than RUN/compare or runs/compare-LAW.
        device: auto, cpu or cuda, for a run.
    """

    run: str | None = positional(default=None)
    data: Any = None
    law: str | None = None
    sde: Spec | str = field(default_factory=lambda: spec("vp"))
    samplers: list[str] | None = None
    budgets: list[int] = field(default_factory=lambda: [8, 16, 32, 64, 128])
    count: int = 2000
    seed: int = 0
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        object.__setattr__(self, "sde", check_spec(self.sde, NAMES[0]))
        if (self.run is None) == (self.law is None):
            raise ValueError("compare takes either a run or --law, such as `compare digits` or `compare --law two`")
        if not self.budgets or not all(1 <= budget <= 10**6 for budget in self.budgets):
            raise ValueError(
                f"budgets are network evaluations for each sample, between 1 and 1000000, got {self.budgets}; write --budgets 8 16 32"
            )
        if not 16 <= self.count <= 10**6:
            raise ValueError(f"count is between 16 and 1000000, got {self.count}; a few thousand is usual")


def run(settings: Settings) -> None:
    """Compare, write comparison.json, comparison.md and comparison.png, and then print the table."""
    recipes = samplers(COMPARED if settings.samplers is None else settings.samplers)
    found, paths = _on_law(settings, recipes) if settings.law is not None else _on_run(settings, recipes)
    found.table().print()
    for path in paths:
        say(path)


def _on_law(settings: Settings, recipes: Sequence[Sampler]) -> tuple[Comparison, list[Path]]:
    from sde_diffusion.cli import factories as build
    from sde_diffusion.evaluation.on_exact_law import compare_on_law

    named, process = parse(str(settings.law)), check_spec(settings.sde, "sde")
    sde, law = build.process(process), build.law(named)
    subject = f"exact law {to_text(named)}, process {to_text(process)}"
    folder = new_folder(f"compare-{named['name']}", settings.output)
    with results_folder(folder, "compare", asdict(settings)):
        found = compare_on_law(law, sde, recipes, settings.budgets, settings.count, settings.seed, subject)
        return found, found.write(folder)


def _on_run(settings: Settings, recipes: Sequence[Sampler]) -> tuple[Comparison, list[Path]]:
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import data_of, load_model
    from sde_diffusion.evaluation.on_model import compare

    source = run_folder(str(settings.run))
    model = load_model(source, device_of(settings.device))
    folder = below(source, "compare") if settings.output is None else folder_of(settings.output)
    with results_folder(folder, "compare", {**asdict(settings), "run": str(source)}):
        found = compare(
            model, data_of(model, settings.data), recipes, settings.budgets, settings.seed, f"run {source.name}"
        )
        return found, found.write(folder)
