"""azula's guidance as it comes: its VP schedule, uniform steps, its defaults; its twisted sampler with the pseudo-inverse twist."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.observations import LinearMeasurement, Measurement, Square


def peers() -> dict[str, Callable[[Any, int, int, int], tuple[Tensor, float]]]:
    """Name -> (cell, nfe, n, seed) -> (samples, NaN); none where azula is not installed."""
    if importlib.util.find_spec("azula") is None:
        return {}
    return {f"azula {name}": partial(_run, make) for name, make in {"MMPS": _mmps, "DPS": _dps, "TDS": _tds}.items()}


def _run(make: Callable[..., Any], cell: Any, nfe: int, n: int, seed: int) -> tuple[Tensor, float]:
    """Samples from normal noise at the schedule's end; azula draws from the global generator."""
    sampler = make(_denoiser(cell.law), cell.observation, steps=nfe, silent=True, dtype=torch.float64)
    if sampler is None:
        return torch.empty(0), math.nan
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x = sampler.init((n, *cell.law.event_shape), dtype=torch.float64)
        return sampler(x).detach(), math.nan


def _denoiser(law: Any) -> Any:
    from azula.denoise import Denoiser, DiracPosterior  # pyright: ignore[reportMissingImports]
    from azula.noise import VPSchedule  # pyright: ignore[reportMissingImports]

    class Exact(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = VPSchedule()

        def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> Any:
            alpha, sigma = self.schedule(t)
            return DiracPosterior(mean=law.denoise(x_t, Kernel(alpha.item(), sigma.item())))

    return Exact()


def _mmps(denoiser: Any, seen: Any, **given: Any) -> Any:
    from azula.guidance import mmps  # pyright: ignore[reportMissingImports]
    from azula.linalg.covariance import IsotropicCovariance  # pyright: ignore[reportMissingImports]
    from azula.sample import DDPMSampler  # pyright: ignore[reportMissingImports]

    if not isinstance(seen, LinearMeasurement):
        return None
    variance = IsotropicCovariance(torch.tensor(seen.std**2, dtype=torch.float64))
    return DDPMSampler(mmps.MMPSDenoiser(denoiser, seen.y, seen.apply, variance, iterations=5), **given)


def _dps(denoiser: Any, seen: Any, **given: Any) -> Any:
    from azula.guidance import dps  # pyright: ignore[reportMissingImports]

    y, apply = _measured(seen)
    return None if y is None else dps.DPSSampler(denoiser, y, apply, **given)


def _tds(denoiser: Any, seen: Any, **given: Any) -> Any:
    from azula.guidance import tds  # pyright: ignore[reportMissingImports]

    if not isinstance(seen, LinearMeasurement):
        return tds.TDSSampler(denoiser, lambda mean, _: seen.log_prob(mean), **given)  # pyright: ignore[reportArgumentType]
    values, basis = torch.linalg.eigh(seen.gram())

    def twist(mean: Tensor, level: Tensor) -> Tensor:
        variances = level**2 / (1 + level**2) * values + seen.std**2
        return -((seen.residual(mean) @ basis).square() / variances + variances.log()).sum(1) / 2

    return tds.TDSSampler(denoiser, twist, **given)  # pyright: ignore[reportArgumentType]


def _measured(seen: Any) -> tuple[Any, Any]:
    """y and the function that it is of, of a measurement or a square; None for one bit."""
    if isinstance(seen, Measurement):
        return seen.y, seen.apply
    if isinstance(seen, Square):
        return torch.tensor([seen.y], dtype=torch.float64), lambda x: seen.project(x).square().unsqueeze(1)
    return None, None
