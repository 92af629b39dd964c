"""Say how likely a run's model finds held-out data: bits per dimension by flow, ELBO and IWAE, with errors and a plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from sde_diffusion.cli.folders import folder_of, run_folder
from sde_diffusion.cli.options import positional

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.cli.model import Model
    from sde_diffusion.likelihood import LogProb


@dataclass(frozen=True)
class Settings:
    """What to score, and how well.

    Attributes:
        run: the run's name or folder.
        count: how many held-out events.
        tol: the standard error wanted for an event by the flow, in bits per dimension.
        steps: steps of the chain whose ELBO and IWAE are given.
        paths: forward paths for each event, the K of IWAE(K); the ELBO averages over as many.
        draws: points drawn in each bin of quantised data.
        seed: keys probes, paths and dequantisation.
        output: another folder than RUN/likelihood.
        device: auto, cpu or cuda.
    """

    run: str = positional()
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
    """Score, and write likelihood.json and likelihood.png."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.cli.model import data_of, load_model
    from sde_diffusion.io.atomic import replace_file, to_json
    from sde_diffusion.report.plots.likelihood import likelihood_plot

    source = run_folder(settings.run)
    model = load_model(source, device_of(settings.device))
    data = data_of(model)
    folder = source / "likelihood" if settings.output is None else folder_of(settings.output)
    claim_output_folder(folder, "likelihood", {**asdict(settings), "run": str(source)})
    x = data.tensors("held_out")[0][: settings.count].to(model.device)
    found = {name: rule(x) for name, rule in rules(model, data.levels, settings).items()}
    table(found, data.levels).print()
    replace_file(folder / "likelihood.json", to_json({name: facts(one) for name, one in found.items()}))
    print(likelihood_plot(found, folder / "likelihood.png"))


def rules(model: Model, levels: int | None, settings: Settings) -> dict[str, Callable[[Tensor], LogProb]]:
    """The three ways by name, of densities, or of the probabilities of quantised data."""
    import torch

    from sde_diffusion.data.pixels import bin_width
    from sde_diffusion.likelihood import Chain, Uniform, elbo, importance_weighted, log_likelihood, quantised

    def generator(stream: int) -> torch.Generator:
        return torch.Generator(model.device).manual_seed(3 * settings.seed + stream)

    chain = Chain(model.sde, model.denoiser, settings.steps, prior=model.prior)
    flow = partial(log_likelihood, model.sde, model.denoiser, tol=settings.tol, prior=model.prior,
                   data_std=model.facts.std, seed=settings.seed)  # fmt: skip
    found: dict[str, Callable[[Tensor], LogProb]] = {
        "flow": flow,
        "ELBO": partial(elbo, chain, draws=settings.paths, generator=generator(0)),
        f"IWAE({settings.paths})": partial(importance_weighted, chain, paths=settings.paths, generator=generator(1)),
    }
    if levels is None:
        return found
    rule = Uniform(bin_width(levels))
    return {
        name: lambda x, bound=bound: quantised(bound, x, rule, settings.draws, generator(2))
        for name, bound in found.items()
    }


def facts(found: LogProb) -> dict[str, object]:
    """Mean bits per dimension, its error over the data, and the root mean squares of an event's errors, in bits."""
    import math

    bits, error = found.bits_per_dim()
    unit = math.log(2) * found.size
    parts = {name: part.double().square().mean().sqrt().item() / unit for name, part in found.errors.items()}
    return {"bits_per_dim": bits, "standard_error": error, "events": len(found.value), "errors_of_an_event": parts}


def table(found: dict[str, LogProb], levels: int | None):
    """What the terminal shows."""
    from sde_diffusion.report.table import Table

    rows = []
    for name, one in found.items():
        known = facts(one)
        parts = ", ".join(f"{part} {size:.2g}" for part, size in known["errors_of_an_event"].items())  # pyright: ignore
        rows.append([name, f"{known['bits_per_dim']:.4f}", f"{known['standard_error']:.4f}", parts])
    kind = "a density" if levels is None else f"{levels} levels, uniform dequantisation"
    heads = ["by", "bits/dim", "standard error", "errors of an event, bits/dim"]
    return Table(heads, rows, f"Held-out data, {kind}; flow and chain are two models of one network")
