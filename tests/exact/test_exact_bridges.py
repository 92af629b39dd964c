"""Bridges in closed form against facts that they were not computed from."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact import Gaussian, Mixture
from sde_diffusion.exact.entropic import PointBridge, half_squared_distances, log_plan
from sde_diffusion.exact.plan_bridge import PlanBridge, PlanMoments
from sde_diffusion.exact.plans import entropic_plan, independent_plan, joint, potentials_plan
from sde_diffusion.exact.potentials import MixturePotentials, random_potentials
from sde_diffusion.junction import Junction
from tests.exact.exact_cases import close, covariance, normal, rng

TEMPERATURES = (4.0, 1.0, 0.25, 0.05, 0.01)
TIMES = (0.0, 0.2, 0.7, 1.0)


def ends(d: int) -> tuple[Gaussian, Gaussian]:
    """Two Gaussians whose covariances do not commute."""
    near, far = (Gaussian(normal(d, seed=s), covariance(d, d, seed=s + 1)) for s in (1, 3))
    return near, far


def matrices(potentials: MixturePotentials) -> torch.Tensor:
    return potentials.basis @ torch.diag_embed(potentials.spectrum) @ potentials.basis.mT


def two_sided(d: int, eps: float) -> tuple[PlanBridge, MixturePotentials]:
    """A bridge between mixtures from potentials on both sides, and the far ones."""
    far = random_potentials(d, eps, modes=3, seed=4)
    weights, roots = torch.tensor([0.3, 0.7], dtype=torch.float64), covariance(2, d, d, seed=5)
    near = (weights, normal(2, d, seed=6), roots / torch.linalg.eigvalsh(roots).max())
    return PlanBridge(potentials_plan(near, (far.log_weights.exp(), far.centres, matrices(far)), eps), eps), far


@pytest.mark.parametrize("d", [1, 5, 20])
@pytest.mark.parametrize("eps", TEMPERATURES)
def test_the_plan_couples_its_ends_by_their_product_alone(d, eps):
    """log p(x, y) = phi(x) + psi(y) + x.y/eps: the off-diagonal block of the precision is -I/eps."""
    precision = torch.linalg.inv(entropic_plan(*ends(d), eps).covariance)
    assert close(eps * precision[:d, d:], -torch.eye(d, dtype=torch.float64), 1e-9)


def test_the_plan_of_one_dimension_is_the_golden_section():
    unit = Gaussian([0.0], [[1.0]])
    assert abs(entropic_plan(unit, unit, 1.0).covariance[0, 1].item() - (math.sqrt(5) - 1) / 2) < 1e-15


@pytest.mark.parametrize("d", [1, 5, 20])
def test_no_temperature_is_the_map_between_gaussians(d):
    """The optimal map is the symmetric T > 0 with T S0 T = S1, and the cost Bures' distance; a small eps tends to it."""
    near, far = ends(d)
    plan = entropic_plan(near, far, 0.0)
    cross = plan.covariance[:d, d:]
    t = torch.linalg.solve(near.covariance, cross)
    assert close(t, t.mT, 1e-9)
    assert torch.linalg.eigvalsh(t).min() > 0
    assert close(t @ near.covariance @ t, far.covariance, 1e-9)
    assert close(entropic_plan(near, far, 1e-8).covariance, plan.covariance, 1e-7)


def test_dynamic_optimal_transport_moves_along_straight_lines():
    """At eps = 0 the flow is constant along x_t = (1-t) x_0 + t T x_0, and the flow's energy is the cost."""
    near, far = ends(3)
    bridge = PlanBridge(entropic_plan(near, far, 0.0), 0.0)
    pairs = bridge.plan.sample(50, rng())
    moved = pairs[:, 1] - pairs[:, 0]
    for t in (0.0, 0.3, 0.8, 1.0):
        assert close(bridge.flow((1 - t) * pairs[:, 0] + t * pairs[:, 1], t), moved, 1e-7)  # x_1 is drawn to 1e-8


@pytest.mark.parametrize("d", [1, 5])
@pytest.mark.parametrize("eps", [1.0, 0.05])
def test_moments_obey_the_equation_of_the_drift(d, eps):
    """For any Gaussian plan dS/dt = B S + S B^T + eps I with B the drift's matrix; at the entropic plan B is symmetric."""
    near, far = ends(d)
    entropic = entropic_plan(near, far, eps)
    other = joint(near, far, 0.3 * entropic.covariance[:d, d:])
    for bridge in (PlanBridge(entropic, eps), PlanBridge(other, eps)):
        for t in (0.2, 0.7):
            h = 1e-3
            s = [bridge.marginal(t + k * h).covariance for k in (-2, -1, 0, 1, 2)]
            slope = (s[0] - 8 * s[1] + 8 * s[3] - s[4]) / (12 * h)
            origin = bridge.drift(torch.zeros(1, d, dtype=torch.float64), t)
            b = (bridge.drift(torch.eye(d, dtype=torch.float64), t) - origin).mT
            assert close(slope, b @ s[2] + s[2] @ b.mT + eps * torch.eye(d, dtype=torch.float64), 1e-9)
            assert close(b, b.mT, 1e-9) == (bridge.plan is entropic or d == 1)


def chain(bridge: PlanBridge, steps: int) -> torch.Tensor:
    """E[x_1 | x_0] of the Markov chain that has the bridge's transitions over equal steps."""
    at, eps, d = bridge.moments, bridge.eps, bridge.event_shape.numel()
    eye, total = torch.eye(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)
    for i in range(steps):
        t, s = i / steps, (i + 1) / steps
        lag = (1 - t) * (1 - s) * at.near[0] + t * s * at.far[0] + eps * t * (1 - s) * eye
        lag = lag + s * (1 - t) * at.cross[0] + t * (1 - s) * at.cross[0].mT  # Cov(x_t, x_s)
        total = torch.linalg.solve(at.covariances(bridge.junction(t))[0], lag).mT @ total
    return total


@pytest.mark.thinned(3)
@pytest.mark.parametrize("d", [1, 5, 20])
@pytest.mark.parametrize("eps", TEMPERATURES)
def test_every_round_of_markovian_fitting(d, eps):
    """Against the chain of the bridge's own transitions, extrapolated to small steps: no drift enters it."""
    near, far = ends(d)
    bridge = PlanBridge(joint(near, far, torch.zeros(d, d, dtype=torch.float64)), eps)
    for _ in range(2):
        table = [chain(bridge, 16 * 2**i) for i in range(5)]
        for order in range(1, 5):
            table = [b + (b - a) / (2**order - 1) for a, b in zip(table, table[1:], strict=False)]
        bridge = bridge.next_round()
        wanted = near.covariance @ table[0].mT
        assert torch.linalg.norm(bridge.moments.cross[0] - wanted) <= 1e-6 * torch.linalg.norm(wanted)


@pytest.mark.parametrize("eps", TEMPERATURES)
def test_a_round_leaves_the_entropic_plan_alone(eps):
    bridge = PlanBridge(entropic_plan(*ends(5), eps), eps)
    assert close(bridge.next_round().moments.cross, bridge.moments.cross, 1e-9)


def test_rounds_on_the_line_have_a_closed_form():
    """In one dimension log Phi = log(S1/S0)/2 - eps/2 int 1/S dt, an arctangent."""
    v0, v1, eps = 0.5, 2.0, 0.3
    near, far = Gaussian([0.0], [[v0]]), Gaussian([1.0], [[v1]])
    cross = 0.2
    bridge = PlanBridge(joint(near, far, torch.tensor([[cross]], dtype=torch.float64)), eps)
    k = cross + eps / 2
    a, b = v0 + v1 - 2 * k, 2 * k - 2 * v0  # S = v0 + b t + a t^2
    root = math.sqrt(4 * a * v0 - b * b)
    integral = 2 / root * (math.atan((2 * a + b) / root) - math.atan(b / root))
    wanted = v0 * math.sqrt(v1 / v0) * math.exp(-eps / 2 * integral)
    assert abs(bridge.next_round().moments.cross.item() - wanted) < 1e-11


@pytest.mark.parametrize("t", TIMES)
def test_one_potential_from_a_gaussian_is_the_gaussian_bridge(t):
    """The entropic plan of Gaussians has p(y | x) = N(r + S x, eps S): its S and r give the potentials."""
    d, eps = 4, 0.6
    near, far = ends(d)
    plan = entropic_plan(near, far, eps)
    s = torch.linalg.solve(near.covariance, plan.covariance[:d, d:])
    potentials = MixturePotentials.of([1.0], (far.mean - s.mT @ near.mean)[None], ((s + s.mT) / 2)[None], eps)
    x = normal(6, d, seed=8)
    assert close(potentials.drift(x, t), PlanBridge(plan, eps).drift(x, t), 1e-9)


@pytest.mark.parametrize("d", [1, 3, 16])
@pytest.mark.parametrize("t", TIMES)
def test_the_two_forms_of_a_bridge_between_mixtures_agree(d, t):
    """By potentials of one side (no source enters) and by the joint Gaussians of both: drift and E[x_1 | x_t]."""
    bridge, far = two_sided(d, 0.7)
    x = normal(5, d, seed=9)
    assert close(bridge.drift(x, t), far.drift(x, t), 1e-9)
    assert close(bridge.ends(x, t)[1], far.far_mean(x, t), 1e-9)
    assert close(bridge.drift(x, t) + bridge.backward_drift(x, t), bridge.eps * bridge.score(x, t), 1e-9)
    assert close(bridge.flow(x, t), bridge.drift(x, t) - bridge.eps / 2 * bridge.score(x, t), 1e-9)


def test_the_drift_of_potentials_is_a_gradient_and_solves_hamilton_jacobi():
    """b = eps grad h with dh/dt + eps/2 (|grad h|^2 + laplace h) = 0, up to a function of t: the equation of an h-transform."""
    potentials = random_potentials(2, 0.5)
    x, t = normal(6, 2, seed=3).requires_grad_(), torch.full((), 0.4, dtype=torch.float64, requires_grad=True)
    h = potentials.log_masses(x, t).logsumexp(-1)
    (gradient,) = torch.autograd.grad(h.sum(), x, create_graph=True)
    laplace = sum(torch.autograd.grad(gradient[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2))
    rate = torch.stack([torch.autograd.grad(one, t, retain_graph=True)[0] for one in h])
    assert close(potentials.drift(x, 0.4), 0.5 * gradient, 1e-9)
    residual = rate + 0.25 * (gradient.square().sum(1) + laplace)
    assert (residual - residual.mean()).abs().max() < 1e-9


def test_potentials_draw_their_own_plan():
    potentials = random_potentials(2, 0.5)
    x = normal(1, 2, seed=5).expand(40_000, 2)
    y = potentials.sample(x, rng())
    error = (y.mean(0) - potentials.far_mean(x[:1])[0]).abs() / (y.std(0) / 200)
    assert bool((error < 4).all())
    grid = torch.linspace(-12, 12, 401, dtype=torch.float64)
    points = torch.cartesian_prod(grid, grid)
    assert abs(potentials.log_plan(x[:1].expand(len(points), 2), points).exp().sum().item() * 0.06**2 - 1) < 1e-9


@pytest.mark.slow
def test_a_simulated_bridge_of_potentials_reaches_its_far_mean():
    potentials = random_potentials(2, 0.5, seed=2)
    x = start = normal(1, 2, seed=6).expand(20_000, 2)
    generator, steps = rng(1), 200
    for i in range(steps):
        noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
        x = x + potentials.drift(x, i / steps) / steps + math.sqrt(0.5 / steps) * noise
    error = (x.mean(0) - potentials.far_mean(start[:1])[0]).abs() / (x.std(0) / math.sqrt(len(x)))
    assert bool((error < 4).all())


def mixtures() -> tuple[Mixture, Mixture]:
    return (
        Mixture([0.3, 0.7], [[-1.0], [0.5]], [0.2, 0.4]),
        Mixture([0.6, 0.4], [[-2.0], [1.5]], [0.3, 0.1]),
    )


@pytest.mark.parametrize("c", [0.0, 0.3])
def test_independent_mixtures_against_an_integral(c):
    """E[x_1 - x_0 | x_t] by quadrature over x_0 (c = 0), and over x_0 and x_1."""
    near, far = mixtures()
    a, b, x = 0.6, 0.4, torch.tensor([[0.3], [-0.8]], dtype=torch.float64)
    x0, x1 = PlanMoments(independent_plan(near, far)).ends(x, Junction(a, b, c))
    grid = torch.linspace(-9, 9, 1801, dtype=torch.float64)[:, None]
    for row, found in zip(x, x1 - x0, strict=True):
        if c:
            densities = (
                near.log_prob(grid)[:, None] + far.log_prob(grid) - (row - a * grid - b * grid.T) ** 2 / (2 * c**2)
            )
            shares = densities.flatten().softmax(0).reshape(densities.shape)
            wanted = (shares * (grid.T - grid)).sum()
        else:
            other = (row - a * grid) / b
            shares = (near.log_prob(grid) + far.log_prob(other)).softmax(0)
            wanted = (shares[:, None] * (other - grid)).sum()
        assert abs(found.item() - wanted.item()) < 1e-9


@pytest.mark.parametrize("eps", [1.0, 0.1, 1e-2, 1e-3, 1e-4])
def test_the_plan_of_points_meets_its_marginals_and_factorises(eps):
    cost = half_squared_distances(normal(60, 2, seed=1), 0.5 * normal(40, 2, seed=2) + 1)
    found = log_plan(cost, eps)
    assert (found.exp().sum(0) - 1 / 40).abs().sum() / 2 < 1e-9
    assert (found.exp().sum(1) - 1 / 60).abs().sum() / 2 < 1e-9
    potential = eps * found + cost
    assert close(potential - potential[:, :1], (potential - potential[:, :1])[:1].expand(60, 40), 1e-9)


def test_plans_of_points_are_refused_in_one_sentence():
    cost = half_squared_distances(normal(9, 2), normal(9, 2, seed=1))
    with pytest.raises(ValueError, match="misses its marginals"):
        log_plan(cost, 1e-3, tolerance=-1.0)
    with pytest.raises(ValueError, match="finite cost"):
        log_plan(cost / 0.0, 1.0)
    with pytest.raises(ValueError, match="eps > 0"):
        log_plan(cost, 0.0)


def test_sinkhorn_on_a_grid_is_the_gaussian_plan():
    """Quantile points of two Gaussians on the line: the covariance of their plan tends to the closed form like N^-1."""
    eps, errors = 0.5, []
    wanted = entropic_plan(Gaussian([0.0], [[1.0]]), Gaussian([0.0], [[0.25]]), eps).covariance[0, 1].item()
    for n in (100, 200):
        grid = torch.linspace(-7, 7, n, dtype=torch.float64)[:, None]
        logs = [Gaussian([0.0], [[v]]).log_prob(grid) for v in (1.0, 0.25)]
        logs = [log - log.logsumexp(0) for log in logs]
        plan = _weighted(half_squared_distances(grid, grid), logs, eps)
        errors.append(abs((grid.T @ plan @ grid).item() - wanted))
    assert max(errors) < 1e-9


def _weighted(cost, logs, eps):
    """Plain Sinkhorn with weights, in logarithms."""
    f, g = torch.zeros(len(cost), dtype=torch.float64), torch.zeros(len(cost), dtype=torch.float64)
    for _ in range(300):
        f = -((g + logs[1] - cost / eps).logsumexp(1))
        g = -((f[:, None] + logs[0][:, None] - cost / eps).logsumexp(0))
    return (f[:, None] + g + logs[0][:, None] + logs[1] - cost / eps).exp()


def test_plain_sinkhorn_gives_the_same_plan_of_points():
    cost, eps = half_squared_distances(normal(30, 2, seed=1), normal(30, 2, seed=2)), 0.3
    uniform = [torch.full((30,), -math.log(30), dtype=torch.float64)] * 2
    assert close(log_plan(cost, eps).exp(), _weighted(cost, uniform, eps), 1e-9)


def test_the_bridge_of_points_is_the_bridge_of_narrow_mixtures():
    near, far, eps = normal(3, 2, seed=1), normal(2, 2, seed=2), 0.4
    points = PointBridge.of(near, far, eps)
    means = torch.stack([torch.stack((x, y)) for x in near for y in far])
    narrow = PlanBridge(Mixture(points.log_plan.exp().flatten(), means, 1e-20), eps)
    x = normal(5, 2, seed=3)
    for t in (0.1, 0.5, 0.95):
        for name in ("drift", "backward_drift", "flow"):
            assert close(getattr(points, name)(x, t), getattr(narrow, name)(x, t), 1e-9)


@pytest.mark.parametrize("eps", [-1.0, math.inf])
def test_a_temperature_is_refused(eps):
    with pytest.raises(ValueError, match="eps"):
        entropic_plan(*ends(2), eps)
    with pytest.raises(ValueError, match="eps"):
        PlanBridge(entropic_plan(*ends(2), 1.0), eps)


def test_wrong_arguments_are_refused():
    near, far = ends(2)
    with pytest.raises(ValueError, match="one shape"):
        entropic_plan(near, Gaussian([0.0], [[1.0]]), 1.0)
    with pytest.raises(ValueError, match="shape \\(2, \\*E\\)"):
        PlanBridge(Gaussian(normal(3), covariance(3, 3)), 1.0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        PlanBridge(entropic_plan(near, far, 1.0), 1.0).drift(normal(2, 2), 1.5)
    side = (torch.ones(1, dtype=torch.float64), normal(1, 2), 2 * torch.eye(2, dtype=torch.float64)[None])
    with pytest.raises(ValueError, match="finite mass"):
        potentials_plan(side, side, 1.0)


@pytest.mark.parametrize("t", [-0.01, 1.01])
def test_a_time_outside_of_the_bridge_is_refused(t):
    with pytest.raises(ValueError, match="a bridge runs from 0 to 1"):
        random_potentials(2, 0.5).drift(torch.zeros(1, 2, dtype=torch.float64), t)
