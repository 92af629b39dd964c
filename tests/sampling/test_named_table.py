r"""Every named sampler on every process and two exact distributions, told nothing but the number of calls.

The gap is that of the mean log-density at t_min, in nats. Two exceptions have their mathematics here.

EDM's sampler. Heun's method has order two: its gap falls as the square of the step. The Karras grid lays a fifth of its steps
above ten standard deviations, where the flow is a straight line. So 24 steps leave up to 0.07 nats where equal steps of
log kappa (`heun`) leave 0.04. It is allowed 0.1 at 50 calls, and a quarter of that at 100.

Annealed Langevin. On a mode N(m, s^2) and with w = s^2 + kappa^2, D - y = -(kappa^2/w)(y - m). An Euler-Maruyama step of
length h in log kappa takes the variance v to

    v' = (1 - C h kappa^2/w)^2 v + 2 C h kappa^2,                                                                  (1)

which for h -> 0 has the solution v = w C/(C - 1): the lag. A mode that is too wide by v/w costs (d/2)(v/w - 1) nats. The
measured gap must be that of (1), to the tolerance of the stochastic samplers.
"""

from __future__ import annotations

import math

import pytest

from sde_diffusion.exact.problems import two
from sde_diffusion.sampling import named
from sde_diffusion.sampling.named import SAMPLERS
from sde_diffusion.sde import VP
from tests.sampling.exact_gap import LAWS, PROCESSES, WIDTHS, denoiser, gap, paired_gap, reference, target

FIRST_ORDER = ("euler", "ddim")
STOCHASTIC = (
    "default_sde", "edm_stochastic", "euler_maruyama", "ddpm", "dpmpp_2m_sde", "dpmpp_3m_sde", "sa_solver", "seeds",
    "annealed_langevin", "predictor_corrector",
)  # fmt: skip
ADAPTIVE = ("adaptive_ode", "adaptive_sde")
DETERMINISTIC = [name for name in SAMPLERS if name not in (*FIRST_ORDER, *STOCHASTIC, *ADAPTIVE)]

SAMPLES, STOCHASTIC_SAMPLES, ADAPTIVE_SAMPLES = 4_000, 2_000, 800
"""Standard errors of 0.016, 0.022 and 0.035 nats. Deterministic samplers are paired with the flow from the same initial
states, which leaves an error below 0.003."""

CELLS = [(law, process) for law in LAWS for process in PROCESSES]
EVERYDAY = {name: CELLS[7 * i % len(CELLS)] for i, name in enumerate(SAMPLERS)}
"""One cell for each sampler, all cells among them; the others are run with the slow tests."""


def cells(names) -> list:
    """A parameter for each sampler and cell, slow but for one cell a sampler."""
    return [
        pytest.param(name, *cell, id=f"{name}-{cell[1]}-{cell[0]}", marks=[] if EVERYDAY[name] == cell else pytest.mark.slow)
        for name in names
        for cell in CELLS
    ]  # fmt: skip


def lag(process: str, law: str, relaxations: float) -> float:
    """The gap that equation (1) predicts for annealed Langevin in 200 calls, on the sampler's own grid."""
    sde = PROCESSES[process]
    reversal, solver = named.annealed_langevin(relaxations).build(sde, denoiser(law), nfe=200, data_std=std(law))
    times = solver.spacing(reversal.start, reversal.stop, solver.steps).tolist()
    s2, v = WIDTHS[law] ** 2, math.exp(2 * times[0])
    for now, then in zip(times, times[1:], strict=False):
        h, kappa2 = now - then, math.exp(2 * now)
        v = (1 - relaxations * h * kappa2 / (s2 + kappa2)) ** 2 * v + 2 * relaxations * h * kappa2
    return 1 - v / (s2 + math.exp(2 * times[-1]))


def std(law: str) -> float:
    return math.sqrt(LAWS[law]().variance.mean().item())


@pytest.mark.thinned(3)
@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("law", LAWS)
def test_the_reference_is_exact(law, process):
    """200 calls of the default sampler: the exact mean log-density within 2.5 standard errors."""
    found = reference(law, process, SAMPLES)
    assert abs(found.mean().item() - target(law, process)[1]) < 2.5 * found.std().item() / math.sqrt(SAMPLES)


def deterministic_gap(name: str, law: str, process: str, nfe: int | None) -> float:
    found, error = paired_gap(SAMPLERS[name](), law, process, SAMPLES, nfe=nfe)
    assert error < 0.05 / 3
    return abs(found)


@pytest.mark.parametrize(("name", "law", "process"), cells(DETERMINISTIC))
def test_deterministic_samplers_of_order_two_at_50_calls(name, law, process):
    assert deterministic_gap(name, law, process, 50) < (0.1 if name == "edm" else 0.05)


@pytest.mark.parametrize(("name", "law", "process"), cells(["edm"]))
def test_edm_has_order_two(name, law, process):
    assert deterministic_gap(name, law, process, 100) < 0.1 / 4


@pytest.mark.parametrize(("name", "law", "process"), cells(FIRST_ORDER))
def test_first_order_samplers_at_200_calls(name, law, process):
    assert deterministic_gap(name, law, process, 200) < 0.15


@pytest.mark.parametrize(("name", "law", "process"), cells(STOCHASTIC))
def test_stochastic_samplers_at_200_calls(name, law, process):
    expected = lag(process, law, 5.0) if name == "annealed_langevin" else 0.0
    assert abs(gap(SAMPLERS[name](), law, process, STOCHASTIC_SAMPLES, nfe=200) - expected) < 0.15


@pytest.mark.parametrize(("name", "law", "process"), cells(["adaptive_ode"]))
def test_the_adaptive_ode_at_its_own_tolerance(name, law, process):
    assert deterministic_gap(name, law, process, None) < 0.05


@pytest.mark.parametrize(("name", "law", "process"), cells(["adaptive_sde"]))
def test_the_adaptive_sde_at_its_own_tolerance(name, law, process):
    assert abs(gap(SAMPLERS[name](), law, process, ADAPTIVE_SAMPLES)) < 0.15


def test_the_lag_of_langevin_is_c_over_c_minus_one():
    """Equation (1) with short steps: a mode as wide as its noise ends a factor C/(C - 1) too wide."""
    s2, c, h, v, lam = 0.04, 5.0, 1e-4, 1e4, math.log(100.0)
    while lam > math.log(0.01):
        kappa2 = math.exp(2 * lam)
        v, lam = (1 - c * h * kappa2 / (s2 + kappa2)) ** 2 * v + 2 * c * h * kappa2, lam - h
    assert v / (s2 + math.exp(2 * lam)) == pytest.approx(c / (c - 1), rel=1e-3)


def test_every_sampler_is_in_one_table():
    assert sorted([*DETERMINISTIC, *FIRST_ORDER, *STOCHASTIC, *ADAPTIVE]) == sorted(SAMPLERS)
    kinds = {name: SAMPLERS[name]().build(VP(), denoiser("two"))[0].equation.stochastic for name in SAMPLERS}
    assert {name for name, stochastic in kinds.items() if stochastic} == {*STOCHASTIC, "adaptive_sde"}
    assert two().event_shape == (2,)
