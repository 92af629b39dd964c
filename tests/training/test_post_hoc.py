"""Averages made after training against the ones that training would have kept, and their error against its exact law.

The weights of a run are given for all steps, so that every average is known: sum_i w_i theta_i, with w_i the integral of
the profile over step i. What a fit misses of the profile is then e_i, and the error of an average is sum_i e_i theta_i.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sde_diffusion.training import CheckpointError, TrainSettings
from sde_diffusion.training.checkpoints.snapshots import Snapshot, save, snapshots
from sde_diffusion.training.ema.post_hoc import fit, reconstruct
from sde_diffusion.training.ema.power import PowerAverages
from sde_diffusion.training.ema.profile import LONGEST, gamma_of
from sde_diffusion.training.ema.profile_fit import coefficients, residual
from sde_diffusion.training.run_folder import RunFolder

STEPS = 960
KEPT = (0.05, 0.10)


def profile(length: float, step: int, steps: int = STEPS) -> np.ndarray:
    """w (steps,): the integral of a profile over each step."""
    edges = np.minimum(np.arange(steps + 1) / step, 1.0) ** (gamma_of(length) + 1)
    return np.diff(edges)


def evenly(count: int, steps: int = STEPS) -> tuple[np.ndarray, np.ndarray]:
    """The times and exponents of `count` evenly spaced snapshots of the lengths `KEPT`."""
    times = np.repeat(np.arange(1, count + 1) * steps / count, len(KEPT))
    return times, np.tile([gamma_of(length) for length in KEPT], count)


def missed(count: int, length: float) -> np.ndarray:
    """e (STEPS,): the fitted weights of the steps less the wanted ones."""
    times, gammas = evenly(count)
    shares = coefficients(times, gammas, STEPS, gamma_of(length))
    rows = [profile(kept, int(t)) for t in times[:: len(KEPT)] for kept in KEPT]
    return shares @ np.stack(rows) - profile(length, STEPS)


@pytest.mark.parametrize("count", [1, 3, 16, 60])
@pytest.mark.parametrize("kept", [0, 1])
def test_a_profile_that_was_kept_is_itself(count, kept):
    times, gammas = evenly(count)
    for at in range(kept, 2 * count, 2):
        shares = coefficients(times, gammas, times[at], gammas[at])
        np.testing.assert_allclose(shares, np.eye(2 * count)[at], atol=1e-10)


@given(
    count=st.integers(1, 40),
    length=st.floats(0.01, LONGEST),
    step=st.floats(0.1, 1.0),
    uneven=st.lists(st.floats(0.01, 1.0), min_size=1, max_size=6),
)
def test_shares_add_up_and_nothing_near_is_better(count, length, step, uneven):
    """The minimum on the plane of sum 1: whatever goes along the plane raises the residual. Any times, equal ones too."""
    times, gammas = evenly(count)
    times, gammas = np.append(times, np.asarray(uneven) * STEPS), np.append(gammas, [gammas[0]] * len(uneven))
    wanted = (step * STEPS, gamma_of(length))
    shares = coefficients(times, gammas, *wanted)
    assert shares.sum() == pytest.approx(1, abs=1e-9)
    least = residual(times, gammas, *wanted, shares)
    for i in range(len(times)):
        aside = shares.copy()
        aside[i] += 1e-3
        aside[(i + 1) % len(times)] -= 1e-3
        assert residual(times, gammas, *wanted, aside) >= least - 1e-6


@pytest.mark.parametrize("length", [0.03, 0.075, 0.15, 0.2])
def test_the_residual_falls_with_the_square_of_the_number_of_snapshots(length):
    found = []
    for count in (32, 64, 128):
        times, gammas = evenly(count)
        found.append(
            residual(times, gammas, STEPS, gamma_of(length), coefficients(times, gammas, STEPS, gamma_of(length)))
        )
    orders = [math.log2(a / b) for a, b in zip(found, found[1:], strict=False)]
    assert orders == pytest.approx([2, 2], abs=0.15), found


@pytest.mark.parametrize("length", [0.03, 0.075, 0.15, 0.25])
def test_the_residual_is_the_error_for_white_noise(length):
    """The error of sum_i w_i xi_i over its own standard deviation; the profile is integrated over steps, hence 2%."""
    times, gammas = evenly(16)
    shares = coefficients(times, gammas, STEPS, gamma_of(length))
    error, own = missed(16, length), profile(length, STEPS)
    assert np.linalg.norm(error) / np.linalg.norm(own) == pytest.approx(
        residual(times, gammas, STEPS, gamma_of(length), shares), rel=0.02
    )


@pytest.mark.parametrize(("length", "bound"), [(0.03, 2e-2), (0.075, 1e-3), (0.15, 2e-3), (0.2, 5e-3)])
def test_a_random_walk_is_averaged_alike(length, bound):
    """theta_i = xi_1 + ... + xi_i. The error's standard deviation is known, sum_j (sum_{i >= j} e_i)^2; measured on 4000
    walks; and over that of the average's distance from the last weights it is small, and falls with the snapshots."""
    walks = np.cumsum(np.random.default_rng(0).standard_normal((4000, STEPS)), 1)
    ratios = []
    for count in (8, 16, 32):
        error, own = missed(count, length), profile(length, STEPS)
        exact = np.linalg.norm(np.cumsum(error[::-1]))
        assert np.std(walks @ error) == pytest.approx(exact, rel=5 / math.sqrt(2 * 4000))
        ratios.append(exact / np.std(walks @ own - walks[:, -1]))
    assert ratios[0] > 3 * ratios[1] > 9 * ratios[2]
    assert ratios[1] < bound, ratios


@pytest.mark.parametrize(("length", "order"), [(0.03, 3.3), (0.075, 3.3), (0.15, 2.0), (0.2, 2.0)])
def test_a_smooth_run_is_averaged_alike(length, order):
    """theta(t) = 1 + t^2 and a decay: the error over the average's distance from the last weights, its least order."""
    t = np.arange(1, STEPS + 1) / STEPS
    for theta in (1 + t**2, np.exp(-5 * t)):
        way = abs(profile(length, STEPS) @ theta - theta[-1])
        ratios = [abs(missed(count, length) @ theta) / way for count in (16, 32, 64)]
        assert ratios[1] < 1e-2
        assert all(a / b > 2**order for a, b in zip(ratios, ratios[1:], strict=False)), ratios


def test_the_densities_of_a_fit_are_what_the_residual_says(tmp_path):
    """Their integrals are 1, and the norm of their difference is the residual, by sums over 2^17 midpoints."""
    told(tmp_path, 64, 16)
    found = fit(tmp_path, 0.2)
    tau = (np.arange(2**17) + 0.5) * 64 / 2**17
    wanted, fitted = found.densities(tau)
    assert [one.mean() * 64 for one in (wanted, fitted)] == pytest.approx([1, 1], rel=1e-6)
    norms = [math.sqrt((one**2).mean()) for one in (fitted - wanted, wanted)]
    assert norms[0] / norms[1] == pytest.approx(found.residual, rel=1e-4)
    assert found.residual > 0.05


def test_what_never_moves_stays():
    """The sum of the shares is 1, so that a frozen parameter comes back even from a poor fit."""
    for length in (0.01, 0.03, 0.28):
        assert abs(missed(2, length).sum()) < 1e-12


class Given(nn.Module):
    """A model whose weights are told: one that moves, one that is frozen, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.moved, self.frozen = (
            nn.Parameter(torch.zeros(50)),
            nn.Parameter(torch.full((3,), 1 / 3), requires_grad=False),
        )
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))


def told(folder, steps=64, every=8, seed=0):
    """A run's folder with the snapshots of given weights (steps, 50), float32, which are returned."""
    model, theta = Given(), torch.randn(steps, 50, generator=torch.Generator().manual_seed(seed)).cumsum(0)
    power = PowerAverages.of(model, KEPT)
    for step, weights in enumerate(theta, 1):
        model.moved.data.copy_(weights)
        model.calls.fill_(step)
        power.update()
        if step % every == 0:
            averages = {
                length: {"calls": model.calls} | average.state_dict() for length, average in power.averages.items()
            }
            save(RunFolder(folder).snapshots, Snapshot(step, averages, ["calls"], {"seed": seed}))
    return theta


@pytest.mark.parametrize(("length", "step"), [(0.05, None), (0.1, None), (0.05, 40), (0.1, 8)])
def test_a_stored_average_comes_back(tmp_path, length, step):
    theta = told(tmp_path).double().numpy()
    state = reconstruct(tmp_path, length, step)
    exact = profile(length, step or 64, 64) @ theta
    np.testing.assert_allclose(state["moved"].numpy(), exact, rtol=1e-5, atol=1e-5)
    found = fit(tmp_path, length, step)
    (at,) = [i for i, (one, kept) in enumerate(found.sources) if (one.step, kept) == (step or 64, length)]
    kept = found.sources[at][0].average(length)
    torch.testing.assert_close(state["moved"], kept["moved"], rtol=1e-6, atol=1e-7)
    assert torch.equal(state["calls"], kept["calls"])
    Given().load_state_dict(state)


@pytest.mark.parametrize(("length", "step"), [(0.07, None), (0.15, 48)])
def test_an_average_that_was_not_stored_is_made(tmp_path, length, step):
    """Of a random walk: within 2% of the average's distance from the last weights, with 6 or 8 snapshots."""
    theta, at = told(tmp_path).double().numpy(), step or 64
    found, state = fit(tmp_path, length, step), reconstruct(tmp_path, length, step)
    exact = profile(length, at, 64) @ theta
    assert np.std(state["moved"].numpy() - exact) / np.std(exact - theta[at - 1]) < 0.02
    assert 1e-4 < found.residual < 0.1
    assert state["calls"].item() == at
    assert torch.equal(state["frozen"], torch.full((3,), 1 / 3)), "what never moved came back changed"


def test_refusals(tmp_path, is_sentence):
    told(tmp_path / "run", 16, 8)
    cases = [(tmp_path, 0.1, None, "no snapshots"), (tmp_path / "run", 0.1, 17, "of step 17.* nearest is 16")]
    cases += [(tmp_path / "run", 0.1, 0, "nearest is 8"), (tmp_path / "run", 0.5, None, "sigma_rel lies in")]
    for folder, length, step, words in cases:
        with pytest.raises(ValueError, match=words) as caught:
            reconstruct(folder, length, step)
        assert is_sentence(caught.value)
    for times, gammas in (([], []), ([1.0], [1.0, 2.0]), ([0.0], [1.0])):
        with pytest.raises(ValueError, match="a fit takes"):
            coefficients(times, gammas, 1.0, 1.0)


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x80
    path.write_bytes(content)


def forged(path, change):
    """A snapshot whose facts are changed, with a manifest that agrees."""
    from sde_diffusion.training.checkpoints import manifest

    facts = json.loads((path / "snapshot.json").read_bytes())
    (path / "snapshot.json").write_text(json.dumps(change(facts)))
    (path / "manifest.json").unlink()
    manifest.write(path, int(path.name[5:]))


HURT = {
    "a flipped bit": lambda path: flip(path / "sigma-0.05.safetensors"),
    "a missing file": lambda path: (path / "sigma-0.1.safetensors").unlink(),
    "no list": lambda path: (path / "manifest.json").unlink(),
    "another name": lambda path: path.rename(path.with_name("step-000004")),
    "facts that are none": lambda path: forged(path, lambda facts: {"lengths": 3}),
    "lengths of other files": lambda path: forged(path, lambda facts: facts | {"lengths": [0.05, 0.2]}),
    "a length that is none": lambda path: forged(path, lambda facts: facts | {"lengths": ["wide"]}),
    "another run": lambda path: forged(path, lambda facts: facts | {"fingerprint": {"seed": 1}}),
}


@pytest.mark.parametrize("kind", HURT)
def test_a_damaged_or_foreign_snapshot_is_refused(tmp_path, is_sentence, kind):
    told(tmp_path, 24, 8)
    HURT[kind](snapshots(tmp_path / "snapshots")[8])
    with pytest.raises(CheckpointError) as caught:
        reconstruct(tmp_path, 0.07)
    assert is_sentence(caught.value)


def test_snapshots_of_another_model_are_refused(tmp_path, is_sentence):
    told(tmp_path, 16, 8)
    other = {length: {"calls": torch.zeros(()), "w": torch.zeros(2)} for length in KEPT}
    save(tmp_path / "snapshots", Snapshot(24, other, ["calls"], {"seed": 0}))
    with pytest.raises(CheckpointError, match="another model") as caught:
        reconstruct(tmp_path, 0.07)
    assert is_sentence(caught.value)


WRONG = [
    ({"snapshot_every": -1}, ValueError),
    ({"snapshot_every": 0.5}, TypeError),
    ({"snapshot_lengths": []}, ValueError),
    ({"snapshot_lengths": [0.1, 0.1]}, ValueError),
    ({"snapshot_lengths": [0.5]}, ValueError),
    ({"snapshot_lengths": [math.nan]}, ValueError),
    ({"snapshot_lengths": ["0.1"]}, TypeError),
    ({"snapshot_lengths": 0.1}, TypeError),
]


@pytest.mark.parametrize(("wrong", "kind"), WRONG, ids=str)
def test_settings_of_snapshots_out_of_range_are_refused(wrong, kind, is_sentence):
    (name,) = wrong
    with pytest.raises(kind, match=f"^{name} is") as caught:
        TrainSettings(**wrong)
    assert is_sentence(caught.value)
