"""Compare samplers side by side, on a trained run or on an exact law: error or distance against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.cli.folders import folder_of, new_folder, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.sampler_specs import COMPARED, Recipe, samplers
from sde_diffusion.cli.specs import NAMES, check_spec
from sde_diffusion.io.terminal import progress_bar
from sde_diffusion.specs import Spec, parse, spec, to_text

if TYPE_CHECKING:
    from sde_diffusion.evaluation.comparison import Comparison


@dataclass(frozen=True)
class Settings:
    """What to compare.

    Attributes:
        run: the run's name or folder; leave it out to compare on a law.
        law: an exact law, such as two, ring8 or mixture64; its denoiser is known, so that only samplers err.
        sde: the process of a law's noise; a run has its own.
        samplers: a list, each named, as reversal/method/steps/spacing (in quotes where it holds a comma), or a file of
            `tune`, which is compared at its own cost.
        budgets: evaluations of the network for each sample; each sampler takes the steps that they pay for.
        count: samples of a law's trial; on a run there are as many as held-out events.
        seed: from which all samples are made.
        output: another folder than RUN/compare or runs/compare-LAW.
        device: auto, cpu or cuda, for a run.
    """

    run: str | None = positional(default=None)
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
            raise ValueError(f"budgets are numbers of evaluations between 1 and 1000000, got {self.budgets}; give some")
        if not 16 <= self.count <= 10**6:
            raise ValueError(f"count is between 16 and 1000000, got {self.count}; a few thousand is usual")


def run(settings: Settings) -> None:
    """Compare, print the table, and write comparison.json, comparison.md and comparison.png."""
    recipes = samplers(COMPARED if settings.samplers is None else settings.samplers)
    folder, found = _on_law(settings, recipes) if settings.law is not None else _on_run(settings, recipes)
    found.table().print()
    for path in found.write(folder):
        print(path)


def _on_law(settings: Settings, recipes: Sequence[Recipe]) -> tuple[Path, Comparison]:
    from sde_diffusion.cli import factories as build
    from sde_diffusion.cli.compare_run import at_budgets
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.evaluation.on_exact_law import ExactLawBenchmark

    named, sde = parse(str(settings.law)), build.process(check_spec(settings.sde, "sde"))
    law = build.law(named)
    folder = new_folder(f"compare-{named['name']}", settings.output)
    claim_output_folder(folder, "compare", asdict(settings))
    bench = ExactLawBenchmark(law, sde, settings.count, settings.seed)
    tries = progress_bar(list(at_budgets(recipes, settings.budgets)), "samplers")
    trials = [bench.trial(recipe) for recipe in tries]
    subject = f"exact law {to_text(named)}, process {to_text(check_spec(settings.sde, 'sde'))}"
    return folder, bench.comparison(subject, trials)


def _on_run(settings: Settings, recipes: Sequence[Recipe]) -> tuple[Path, Comparison]:
    from sde_diffusion.cli.compare_run import at_budgets, comparison, tried
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.cli.model import data_of, load_model
    from sde_diffusion.evaluation.evaluator import Evaluator

    source = run_folder(str(settings.run))
    model = load_model(source, device_of(settings.device))
    folder = source / "compare" if settings.output is None else folder_of(settings.output)
    claim_output_folder(folder, "compare", {**asdict(settings), "run": str(source)})
    judge = Evaluator(data_of(model), settings.seed, told=model.classes is not None)
    tries = progress_bar(list(at_budgets(recipes, settings.budgets)), "samplers")
    trials = [tried(recipe, model, judge, settings.seed)[0] for recipe in tries]
    return folder, comparison(f"run {source.name}", trials, judge, settings.seed)
