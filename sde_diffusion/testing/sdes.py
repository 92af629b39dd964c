"""`check_sde`: a process against its own equations.

print(check_sde(MySDE()))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from sde_diffusion.sde.base import SDE, LinearSDE
from sde_diffusion.testing import channels, coefficients, ends, fokker_planck, laws, moments, quantiles, waves
from sde_diffusion.testing.simulation import coordinates
from solvers.testing.report import QUICK, Finding, Report, run_checks

Checks = list[tuple[str, Callable[[], Iterable[Finding]]]]


def check_sde(sde: SDE, level: str = QUICK) -> Report:
    """The report on a process: "quick" takes a second or two, "full" refines the simulations.

    A `LinearSDE` is held against its closed forms. Any other process, also one whose noise depends on the state
    (`StateDependentSDE`), is simulated, forwards and in reverse, and held against its Fokker-Planck equation, on as many
    coordinates as its drift needs, up to three; if it has a method log_prob(x, t), that density is held against that
    equation too, in two dimensions or three.

    Raises:
        TypeError: not an instance of `SDE`.
        ValueError: an unknown level.
    """
    if not isinstance(sde, SDE):
        raise TypeError(f"check_sde takes an SDE, got {type(sde).__name__}; pass an instance of SDE or LinearSDE")
    checks = _linear(sde, level) if isinstance(sde, LinearSDE) else _nonlinear(sde, level)
    return run_checks(type(sde).__name__, level, checks)


def _linear(sde: LinearSDE, level: str) -> Checks:
    closed = [
        moments.moment_equations, channels.log_snr, channels.transitions, channels.posterior, channels.marginal,
        channels.prior, ends.finite, ends.start, ends.normalised, ends.single_precision,
    ]  # fmt: skip
    carried = [laws.forward, laws.reverse, laws.shapes]
    return [
        *((check.__name__.replace("_", " "), partial(check, sde)) for check in closed),
        *((check.__name__.replace("_", " "), partial(check, sde, level)) for check in carried),
    ]


def _nonlinear(sde: SDE, level: str) -> Checks:
    looks = [
        coefficients.batch_independence,
        coefficients.many_times,
        coefficients.derivatives,
        coefficients.noise_slope,
        fokker_planck.claimed_law,
    ]
    checks: Checks = [(look.__name__.replace("_", " "), partial(look, sde, level)) for look in looks]
    d = coordinates(sde)
    if d > 1:
        return [*checks, (f"laws in {d} dimensions", partial(waves.laws, sde, d, level))]
    line = [fokker_planck.simulated_law, quantiles.reversals]
    return checks + [(look.__name__.replace("_", " "), partial(look, sde, level)) for look in line]
