"""Grids laid out in other processes' times: the same noise levels everywhere, the published nodes of chains."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.reversal import velocity_form
from sde_diffusion.reversal.grids import cosine, in_time_of, leading, quadratic_in_vp_time, trailing
from sde_diffusion.sde import DDPM, EDM, VE, VP, Rectified
from sde_diffusion.sde.cosine import Cosine
from solvers.grids import by_density, geometric, power, tapered, uniform

PROCESSES = [VP(), EDM(), VE(), Rectified(), Cosine()]


def levels(sde, times) -> torch.Tensor:
    """sigma/alpha of times of a process."""
    return torch.exp(-0.5 * sde.log_snr(times))


@pytest.mark.parametrize("sde", PROCESSES, ids=lambda s: type(s).__name__)
def test_quadratic_in_vp_time_is_quadratic_in_vp_time(sde):
    grid = quadratic_in_vp_time(sde)(sde.horizon, sde.t_min, 13)
    roots = VP().time(sde.log_snr(grid)).sqrt()
    steps = roots.diff()
    torch.testing.assert_close(steps, steps.mean().expand(13), rtol=1e-6, atol=0.0)
    assert grid[0] == sde.horizon
    assert grid[-1] == sde.t_min


@pytest.mark.parametrize("sde", PROCESSES, ids=lambda s: type(s).__name__)
def test_the_cosine_grid_has_equal_angles(sde):
    angles = levels(sde, cosine(sde)(sde.horizon, sde.t_min, 9)).atan()
    torch.testing.assert_close(angles.diff(), (angles[-1] - angles[0]).expand(9) / 9, rtol=1e-6, atol=0.0)


def test_a_grid_in_the_process_s_own_time_is_that_grid():
    torch.testing.assert_close(in_time_of(VP(), VP(), spacing=power(3))(1.0, 1e-3, 10), power(3)(1.0, 1e-3, 10))


def test_a_clock_reads_the_same_levels():
    """The grid of the velocity form's clock u holds the noise levels u/(1 - u) of the grid in time."""
    sde = VP()
    form = velocity_form(sde, ExactDenoiser(two()))
    u = quadratic_in_vp_time(sde, form.clock)(form.start, form.stop, 12)
    in_time = quadratic_in_vp_time(sde)(sde.horizon, sde.t_min, 12)
    torch.testing.assert_close(u / (1 - u), levels(sde, in_time), rtol=1e-9, atol=0.0)


def nodes(chain: DDPM, spacing, steps: int) -> list[int]:
    grid = spacing(chain.horizon, chain.t_min, steps) * (chain.steps / chain.horizon)
    assert torch.allclose(grid, grid.round(), atol=1e-9)
    return [round(n) for n in grid.tolist()]


def test_leading_and_trailing_are_the_published_nodes():
    """Lin et al. 2023, table 2, T = 1000 in 10 steps: leading 1, 101, ..., 901; trailing 100, 200, ..., 1000."""
    chain = DDPM()
    assert nodes(chain, leading(chain), 10) == [1000, *range(901, 0, -100)]
    assert nodes(chain, trailing(chain), 10) == [*range(1000, 0, -100), 1]
    assert nodes(chain, leading(chain), 7) == [1000, *range(1 + 6 * 142, 0, -142)]
    assert nodes(chain, trailing(chain), 7) == [1000, 857, 714, 571, 429, 286, 143, 1]


@pytest.mark.parametrize("steps", [1, 2, 7, 30, 333, 500])
@pytest.mark.parametrize("kind", [leading, trailing])
def test_chains_run_down_through_distinct_nodes(kind, steps):
    chain = DDPM()
    found = nodes(chain, kind(chain), steps)
    assert len(found) == steps + 1
    assert (found[0], found[-1]) == (1000, 1)
    assert all(a > b for a, b in pairwise(found))


def test_a_chain_refuses_more_steps_than_it_can_tell_apart():
    with pytest.raises(ValueError, match="ask for fewer"):
        trailing(DDPM())(1.0, 1e-3, 900)
    with pytest.raises(ValueError, match="start at the horizon"):
        trailing(DDPM())(0.5, 1e-3, 10)


def test_tapered_is_a_power_far_below_its_level_and_nearly_geometric_far_above():
    """Below: t^(inner outer) is uniform. Above: (log t)^outer is; with outer = 1, equal ratios."""
    torch.testing.assert_close(tapered(1e6, 2.0, 0.25)(3.0, 0.1, 8), power(2)(3.0, 0.1, 8), rtol=1e-6, atol=0.0)
    torch.testing.assert_close(tapered(1e-9, 2.0, 1.0)(3.0, 0.1, 8), geometric(3.0, 0.1, 8), rtol=1e-9, atol=0.0)
    logs = tapered(1e-3, 4.0, 0.5)(50.0, 1.0, 8).mul(1e3).log().sqrt()
    torch.testing.assert_close(logs.diff(), (logs[-1] - logs[0]).expand(8) / 8, rtol=1e-6, atol=0.0)


def test_tapered_nearly_contains_the_grid_quadratic_in_vp_time():
    """For beta_min << beta_max, t = sqrt(2 log(1 + kappa^2)/beta_max): sqrt(t) is log(1 + kappa^2)^(1/4), scaled."""
    steep = VP(1e-9, 20.0)
    edm = EDM()
    found = tapered(1.0, 2.0, 0.25)(80.0, 0.002, 20)
    torch.testing.assert_close(found, in_time_of(steep, edm, spacing=power(2))(80.0, 0.002, 20), rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("direction", [(80.0, 0.002), (0.002, 80.0)])
@pytest.mark.parametrize("shape", [(0.3, 1.7, 0.28), (1.1, 3.1, 0.115), (1.0, 2.0, 0.25)])
def test_tapered_keeps_its_ends_and_runs_one_way(shape, direction):
    grid = tapered(*shape)(*direction, 100)
    assert (grid[0].item(), grid[-1].item()) == direction
    assert bool((grid.diff().sign() == math.copysign(1.0, direction[1] - direction[0])).all())


def test_a_density_puts_its_points_where_it_says():
    """The counts between two times are the integrals of the density over log t, here by a foreign quadrature."""
    times, logs = [0.01, 0.3, 2.0, 50.0], [-1.0, 2.0, 0.5, -2.0]
    grid = by_density(times, logs)(80.0, 0.002, 400)

    def points(t: float) -> float:
        places = np.log([0.002, *times, 80.0])
        values = [logs[0], *logs, logs[-1]]
        breaks = [p for p in places if p < math.log(t)]
        return quad(lambda x: math.exp(np.interp(x, places, values)), places[0], math.log(t), points=breaks)[0]

    whole = points(80.0)
    shares = [points(t.item()) / whole for t in grid[::40]]
    assert shares == pytest.approx([1 - k / 10 for k in range(11)], abs=1e-9)


def test_equal_densities_are_geometric_and_their_scale_does_not_matter():
    for direction in ((80.0, 0.002), (0.002, 80.0)):
        for logs in ([0.0, 0.0], [3.0, 3.0]):
            found = by_density([0.1, 1.0], logs)(*direction, 50)
            torch.testing.assert_close(found, geometric(*direction, 50), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("times", [[1.0, 0.1], [0.0, 1.0], [0.1, 1.0, 2.0]])
def test_a_density_needs_increasing_times(times):
    with pytest.raises(ValueError, match="increasing times > 0"):
        by_density(times, [0.0, 1.0])
    with pytest.raises(ValueError, match="times > 0"):
        by_density([0.1, 1.0], [0.0, 1.0])(1.0, 0.0, 5)


def test_tapered_refuses_what_has_no_logarithm():
    with pytest.raises(ValueError, match="times > 0"):
        tapered(1.0, 2.0, 0.25)(1.0, 0.0, 5)
    with pytest.raises(ValueError, match="level, inner and outer"):
        tapered(0.0, 2.0, 0.25)
    assert uniform(1.0, 0.0, 5)[-1] == 0.0
