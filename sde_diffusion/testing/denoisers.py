"""`check_denoiser`: whether a denoiser returns the posterior mean, with an exact law, with data alone, or with neither.

print(check_denoiser(ExactDenoiser(law)))
print(check_denoiser(network, data=held_out))           # calibration, level by level
print(check_denoiser(network, event_shape=(1, 8, 8)))   # what needs no data
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.law import Law
from sde_diffusion.testing import calibration, thresholds, tweedie
from sde_diffusion.testing.observed import Observed
from solvers.testing.report import FULL, QUICK, Finding, Report, run_checks

SAMPLES = {QUICK: 2_000, FULL: 20_000}
Checks = list[tuple[str, Callable[[], Iterable[Finding]]]]


def check_denoiser(
    denoiser: Denoiser,
    level: str = QUICK,
    *,
    law: Law | None = None,
    data: Tensor | None = None,
    event_shape: Sequence[int] | None = None,
) -> Report:
    """The report on a denoiser.

    Args:
        law: the exact law of its data; an `ExactDenoiser` has one already. The answer must be the posterior mean.
        data: held-out data (N, *E): residuals must be uncorrelated with x_t and D, level by level.
        event_shape: *E, where there is neither: behaviour only.

    Raises:
        TypeError: not a `Denoiser`.
        ValueError: neither law, data nor event shape, or an unknown level.
    """
    if not isinstance(denoiser, Denoiser):
        raise TypeError(
            f"check_denoiser takes a Denoiser, got {type(denoiser).__name__}; wrap the network in Preconditioned"
        )
    if law is None and isinstance(denoiser, ExactDenoiser):
        law = denoiser.law
    if level not in SAMPLES:
        raise ValueError(f"a level is {QUICK!r} or {FULL!r}, got {level!r}; choose one")
    seen = Observed.of(denoiser, law, data, event_shape, SAMPLES[level])
    return run_checks(type(denoiser).__name__, level, _checks(seen))


def _checks(seen: Observed) -> Checks:
    looks = [
        tweedie.shapes,
        tweedie.same_answer,
        tweedie.batch,
        tweedie.channel,
        tweedie.gradient,
        tweedie.fokker_planck,
    ]
    looks.append(thresholds.at_bounds if seen.law is None else tweedie.posterior_mean)
    if seen.informed:
        looks.append(calibration.residuals)
    return [(look.__name__.replace("_", " "), partial(look, seen)) for look in looks]
