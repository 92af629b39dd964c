"""Log-likelihood of held-out data under a run's model: bits per dimension by the probability flow, ELBO and IWAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import below, folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.results_folder import results_folder
from sde_diffusion.io.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.likelihood import LogProb
    from sde_diffusion.model import DiffusionModel


@dataclass(frozen=True)
class Settings:
    """What to score, and how precisely.

    Attributes:
        run: the run's name or folder.
        data: the place where the run's data are now; the one in its record unless given.
        count: number of held-out examples.
        tol: standard error wanted for one example by the probability flow, in bits per dimension.
        steps: steps of the discrete chain behind ELBO and IWAE.
        paths: importance samples K of IWAE(K): forward paths for each example; the ELBO averages over as many.
        draws: Monte Carlo draws of the dequantisation noise, for quantised data.
        seed: random seed of probes, paths and dequantisation.
        output: another folder than RUN/likelihood.
        device: auto, cpu or cuda.
    """

    run: str = positional()
    data: Any = None
    count: int = 64
    tol: float = 0.01
    steps: int = 100
    paths: int = 8
    draws: int = 2
    seed: int = 0
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("count", 2), ("steps", 1), ("paths", 2), ("draws", 2)):
            if not least <= getattr(self, name) <= 10**7:
                raise ValueError(f"{name} is between {least} and 10000000, got {getattr(self, name)}; correct it")


def run(settings: Settings) -> None:
    """Score, write likelihood.json and likelihood.png, and then print the table."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import context_of, data_of, load_model
    from sde_diffusion.io.atomic import replace_file
    from sde_diffusion.report.plain_data import report_json
    from sde_diffusion.report.plots.likelihood import likelihood_plot

    source = run_folder(settings.run)
    model = load_model(source, device_of(settings.device))
    data = data_of(model, settings.data)
    x = data.tensors("held_out")[0][: settings.count].to(model.device)
    given = context_of(model, data, len(x))
    folder = below(source, "likelihood") if settings.output is None else folder_of(settings.output)
    with results_folder(folder, "likelihood", {**asdict(settings), "run": str(source)}):
        found = {name: rule(x) for name, rule in rules(model, data.levels, settings, given).items()}
        replace_file(folder / "likelihood.json", report_json({name: facts(one) for name, one in found.items()}))
        plot = likelihood_plot(found, folder / "likelihood.png")
    table(found, data.levels, model.condition_columns is not None).print()
    say(plot)


def rules(
    model: DiffusionModel, levels: int | None, settings: Settings, given: Mapping[str, Tensor] | None = None
) -> dict[str, Callable[[Tensor], LogProb]]:
    """Flow, ELBO and IWAE by name: of densities, or of the probabilities of quantised data, under the conditions `given`.

    A probability of levels is the integral of a normalised density: that of the flow's samples, without the two ends.
    """
    import torch

    from sde_diffusion.data.pixels import bin_width
    from sde_diffusion.denoisers import Conditioned
    from sde_diffusion.likelihood import Chain, Uniform, elbo, importance_weighted, quantised

    def generator(stream: int) -> torch.Generator:
        return torch.Generator(model.device).manual_seed(3 * settings.seed + stream)

    def bound(rule: Callable[..., LogProb], stream: int, **more: int) -> Callable[[Tensor], LogProb]:
        own = generator(stream)
        return lambda x: model.in_data_units(rule(chain, model.to_standard(x), generator=own, **more))

    given = dict(given or {})
    denoiser = Conditioned(model.denoiser, **given) if given else model.denoiser
    chain = Chain(model.sde, denoiser, settings.steps, prior=model.prior)
    found: dict[str, Callable[[Tensor], LogProb]] = {
        "flow": partial(model.log_prob, tol=settings.tol, seed=settings.seed, **given),
        "ELBO": bound(elbo, 0, draws=settings.paths),
        f"IWAE({settings.paths})": bound(importance_weighted, 1, paths=settings.paths),
    }
    if levels is None:
        return found
    found["flow"] = lambda x: model.log_prob(x, settings.tol, seed=settings.seed, **given).without(
        "prior", "truncation"
    )
    rule = Uniform(bin_width(levels))
    return {
        name: lambda x, bound=bound: quantised(bound, x, rule, settings.draws, generator(2))
        for name, bound in found.items()
    }


def facts(found: LogProb) -> dict[str, object]:
    """Mean bits per dimension, its standard error over the data, and the rms of one example's errors, in bits."""
    import math

    bits, error = found.bits_per_dim()
    unit = math.log(2) * found.size
    parts = {name: part.double().square().mean().sqrt().item() / unit for name, part in found.errors.items()}
    return {"bits_per_dim": bits, "standard_error": error, "examples": len(found.value), "errors_of_an_example": parts}


def table(found: dict[str, LogProb], levels: int | None, given: bool = False):
    """A row for each way to compute the likelihood."""
    from sde_diffusion.report.table import Table

    rows = []
    for name, one in found.items():
        known = facts(one)
        parts = ", ".join(f"{part} {size:.2g}" for part, size in known["errors_of_an_example"].items())  # pyright: ignore
        rows.append([name, f"{known['bits_per_dim']:.4f}", f"{known['standard_error']:.4f}", parts])
    whose = "Held-out data under their conditions" if given else "Held-out data"
    kind = "a density" if levels is None else f"{levels} levels, uniform dequantisation"
    heads = ["method", "bits/dim", "standard error", "errors of one example, bits/dim"]
    return Table(
        heads,
        rows,
        f"{whose}, {kind}; the flow and the discrete chain (ELBO, IWAE) are two models of one network",
    )
