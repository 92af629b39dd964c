"""What `compare` writes agrees with the same quantities computed another way."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import load_model
from sde_diffusion.cli.sampler_specs import sampler
from sde_diffusion.data import by_name
from sde_diffusion.evaluation.comparison import Comparison, SamplerResult, Score
from sde_diffusion.evaluation.evaluator import Evaluator
from sde_diffusion.evaluation.generate import at_budgets, samples_of
from sde_diffusion.evaluation.on_exact_law import FLOW_POINTS, ExactLawBenchmark
from sde_diffusion.exact import ExactDenoiser, problems
from sde_diffusion.reversal import data_form
from sde_diffusion.sampling.sample import initial_state
from sde_diffusion.sde import VP
from solvers.wiener import PathSpec

SDE, LAW = VP(), problems.two()


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict:
    """compare --law two with DDIM of 8 steps and the ancestral chain of 8, within 8 calls of the model, as JSON."""
    folder = tmp_path_factory.mktemp("compare")
    wanted = [
        "--samplers",
        "[data_form/exponential_euler/8/uniform, ancestral/ancestral/8/uniform]",
        "--budgets",
        "[8]",
    ]
    assert main(["compare", "--law", "two", *wanted, "--count", "300", "--output", str(folder)]) == 0
    assert (folder / "comparison.png").stat().st_size > 10_000
    assert "| data_form/exponential_euler/uniform | 8 | 8 |" in (folder / "comparison.md").read_text()
    return json.loads((folder / "comparison.json").read_text())


def scores(written: dict, number: int) -> dict[str, dict]:
    return {score["name"]: score for score in written["results"][number]["scores"]}


def ddim(x: torch.Tensor, steps: int) -> torch.Tensor:
    """DDIM by its own formula, x_s = alpha_s x0_hat + sigma_s eps_hat, on equal steps of log(sigma/alpha)."""
    levels = np.linspace(-0.5 * SDE.log_snr(SDE.horizon), -0.5 * SDE.log_snr(SDE.t_min), steps + 1)
    times = [SDE.time(-2 * float(level)) for level in levels]
    for t, s in pairwise(times):
        x0 = LAW.denoise(x, SDE.kernel(t))
        noise = (x - SDE.alpha(t) * x0) / SDE.sigma(t)
        x = SDE.alpha(s) * x0 + SDE.sigma(s) * noise
    return x


def flow(x: torch.Tensor) -> torch.Tensor:
    """The probability flow in the process's own time, dx/dt = f x - g^2/2 score, by scipy."""

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(state).reshape(x.shape)
        drift = SDE.f(t) * at - 0.5 * SDE.g(t) ** 2 * LAW.through(SDE.kernel(t)).score(at)
        return drift.reshape(-1).numpy()

    ends = (SDE.horizon, SDE.t_min)
    found = solve_ivp(slope, ends, x.reshape(-1).numpy(), "DOP853", t_eval=[SDE.t_min], rtol=1e-9, atol=1e-10)
    return torch.from_numpy(found.y[:, -1]).reshape(x.shape)


def start(count: int) -> torch.Tensor:
    reversal = data_form(SDE, ExactDenoiser(LAW)).with_prior(SDE.prior(LAW.mean, LAW.variance.mean().item()))
    return initial_state(reversal, PathSpec(0, torch.arange(count), (2,), 1.0, 0.0, torch.float64))


def test_the_error_of_the_flow(written):
    x = start(FLOW_POINTS)
    error = (ddim(x, 8) - flow(x)).square().mean().sqrt().item()
    found = scores(written, 0)["error of the flow"]
    assert found["value"] == pytest.approx(error, rel=1e-4)
    assert found["low"] < error < found["high"]
    assert "error of the flow" not in scores(written, 1)


def test_the_sliced_distance(written):
    """Over 360 directions, evenly spread, against the 64 that compare takes: within 5%."""
    x, exact = ddim(start(300), 8), ExactLawBenchmark(LAW, SDE, 300, 0).exact_samples
    angles = torch.arange(360, dtype=torch.float64) * (math.pi / 360)
    lines = torch.stack((angles.cos(), angles.sin()))
    gaps = (x @ lines).sort(0).values - (exact @ lines).sort(0).values
    found = scores(written, 0)["sliced W2"]
    assert found["value"] == pytest.approx(gaps.square().mean().sqrt().item(), rel=0.05)
    assert found["ratio"] == pytest.approx(found["value"] / found["baseline"])


def test_the_gap_of_the_log_density(written):
    """E log p at t_min by quadrature over a fine grid, which integrates p to 1."""
    target = LAW.through(SDE.kernel(SDE.t_min))
    axis = torch.linspace(-3, 3, 601, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    log_p = target.log_prob(grid)
    weights = log_p.exp() * 0.01**2
    assert weights.sum().item() == pytest.approx(1, abs=1e-6)
    gap = abs(target.log_prob(ddim(start(300), 8)).mean() - (weights * log_p).sum()).item()
    assert scores(written, 0)["log-density gap"]["value"] == pytest.approx(gap, abs=0.02)


def test_exact_samples_lie_at_the_baseline(written):
    low, high = written["baselines"]["sliced W2"]
    assert 0 < low < scores(written, 0)["sliced W2"]["baseline"] < high


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """|m_1 - m_2|^2 + tr(C_1) + tr(C_2) - 2 sum sqrt(eigenvalues of C_1 C_2)."""
    c, d = np.cov(x.T), np.cov(y.T)
    root = np.sqrt(np.linalg.eigvals(c @ d).real.clip(0)).sum()
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c + d) - 2 * root)


def test_the_frechet_distance_of_a_run(trained, tmp_path, capsys):
    wanted = ["--samplers", "[data_adams]", "--budgets", "[4]", "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["compare", str(trained), *wanted]) == 0
    result = json.loads((tmp_path / "out" / "comparison.json").read_text())["results"][0]
    assert (result["steps"], result["evaluations"]) == (3, 4)
    source = by_name("digits", held_out=24)
    truth, real = (source.tensors(split)[0].flatten(1).double().numpy() for split in ("held_out", "train"))
    x = samples_of(load_model(trained, device_of("cpu")), sampler("data_adams").with_steps(3), 24, 0, chunk=24).x
    value = frechet(x.flatten(1).double().numpy(), truth)
    floor = np.mean([frechet(real[24 * k : 24 * k + 24], truth) for k in range(4)])
    score = next(score for score in result["scores"] if score["name"] == "Frechet, pixels")
    assert score["value"] == pytest.approx(value, rel=1e-4)
    assert score["ratio"] == pytest.approx(value / floor, rel=1e-4)
    assert score["low"] < score["value"] < score["high"]


def test_real_events_have_a_ratio_of_about_one():
    """Training examples scored as if they were samples: the mean of four such sets lies in the interval."""
    evaluator = Evaluator(by_name("digits", held_out=200))
    for score in evaluator.scores(evaluator.train[-200:]):
        assert score.low < score.baseline < score.high
    for score in evaluator.scores(evaluator.train[-200:] + 0.3):
        assert score.low > score.baseline


def test_copies_are_seen():
    evaluator = Evaluator(by_name("digits", held_out=50))
    copies = evaluator.copying(evaluator.train[:50])
    assert copies.distances.max() == 0
    assert copies.memorisation_rate == 1.0
    new = evaluator.copying(evaluator.held_out)
    assert torch.equal(new.distances, new.held_out_distances)
    assert new.memorisation_rate <= 0.02


def test_a_budget_pays_for_whole_steps():
    recipes = [sampler("flow_heun"), sampler("data_adams")]
    found = [(r.label, r.steps) for r in at_budgets(recipes, [9, 1, 4])]
    assert found == [("heun", 1), ("heun", 4), ("dpmpp_2m", 3), ("dpmpp_2m", 8)]


def test_a_table_has_a_cell_for_every_head():
    """Also where a sampler has no score of a kind."""
    trials = [
        SamplerResult("a", "a/1", 1, 2, 0.5, [Score("x", 2.0, 1.0, 3.0, 1.0), Score("y", 1.0, 1.0, 1.0)]),
        SamplerResult("b", "b/1", 1, 2, 0.5, [Score("y", 4.0, 3.0, 5.0)]),
    ]
    table = Comparison("s", 10, 0, trials).table()
    assert table.heads == ["sampler", "steps", "NFE", "seconds", "x", "ratio", "y"]
    assert table.rows[0][4:] == ["2 ± 1", "2.00", "1 ± 0"]
    assert table.rows[1][4:] == ["-", "-", "4 ± 1"]


@pytest.mark.parametrize(
    ("text", "bound"), [("velocity_form/dopri5/tol=1e-5", 2e-4), ("probability_flow/tol=1e-5", 2e-4)]
)
def test_a_tolerance_in_the_place_of_steps_reaches_the_exact_flow(text, bound):
    """The cost is the mean over samples that each take their own steps, below that of the slowest."""
    found = ExactLawBenchmark(LAW, SDE, 200, seed=0).run(sampler(text))
    error = next(score.value for score in found.scores if score.name == "error of the flow")
    assert error < bound
    assert found.evaluations != round(found.evaluations)
    assert 30 < found.evaluations < 120


def test_the_reverse_sde_goes_to_a_tolerance_on_one_path():
    """Its log-density gap is within its interval; each tolerance is tried once, whatever the budgets."""
    found = ExactLawBenchmark(LAW, SDE, 1000, seed=0).run(sampler("reverse_sde/tol=0.03"))
    assert next(score.low for score in found.scores if score.name == "log-density gap") < 0.02
    assert [str(r) for r in at_budgets([sampler("velocity_form/tol=1e-3")], [8, 16])] == ["velocity_form/tol=0.001"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("velocity_form/tol=1e-3/uniform", "chooses its own steps"),
        ("velocity_form/heun/tol=1e-3", "dopri5"),
        ("data_form(eta=1)/tol=1e-3", "adaptive_sde"),
        ("velocity_form/tol=small", "is no tol"),
        ("velocity_form/tol=0.5", "above 0 and at most 0.1"),
    ],
)
def test_a_tolerance_that_makes_no_sense_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        sampler(text).build(SDE, ExactDenoiser(LAW))
