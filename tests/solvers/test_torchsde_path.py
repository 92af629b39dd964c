"""torchsde's paths as ours, and ours as torchsde's.

Every test is deterministic. Statistical thresholds are in standard deviations of a perfect path, with the probability
that one would miss them.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from solvers.torchsde_path import AsTorchsde, TorchsdePath
from solvers.wiener import KeyedIncrements
from solvers.wiener_tree import WienerTree
from tests.solvers.paths import SEEDED, state, values

# torchsde, both ways


def test_torchsde_paths_are_additive_in_either_direction():
    path = TorchsdePath.like(state(5, (2, 2)), 0, 2.0, 0.5)
    total = path.increment(2.0, 1.1) + path.increment(1.1, 0.7)
    torch.testing.assert_close(total, path.increment(2.0, 0.7), rtol=0, atol=1e-12)
    assert torch.equal(path.increment(0.7, 1.1), -path.increment(1.1, 0.7))


def test_torchsde_path_wraps_the_users_motion():
    import torchsde

    bm = torchsde.BrownianInterval(t0=0.0, t1=1.0, size=(4, 6), dtype=torch.float64, entropy=5)
    path = TorchsdePath(bm, (2, 3))
    assert torch.equal(path.increment(0.5, 0.25), -bm(0.25, 0.5).reshape(4, 2, 3))
    with pytest.raises(TypeError, match="spawn"):
        path.channel(0)
    with pytest.raises(ValueError, match="one time"):
        path.increment(torch.zeros(4), 1.0)


class Oscillator(torch.nn.Module):
    """dx = -sin(3 x) dt + (1 + cos(x)/2) dW, for torchsde and for a loop."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t, x):
        return -torch.sin(3 * x) * (1 + t)

    def g(self, t, x):
        return 1 + torch.cos(x) / 2


@pytest.mark.parametrize("kind", SEEDED)
def test_torchsde_on_our_path_is_euler_maruyama_on_our_path(kind):
    """torchsde's own Euler-Maruyama against a loop, 64 steps: 1e-12."""
    import torchsde

    x = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(4, 2, 3)
    sde, grid = Oscillator(), [k / 64 for k in range(65)]
    bm = AsTorchsde(kind.like(x, 9, 0.0, 1.0), x)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    theirs = torchsde.sdeint(sde, x.reshape(4, 6), ts, bm=bm, method="euler", dt=1 / 64)[-1].reshape(4, 2, 3)
    path = kind.like(x, 9, 0.0, 1.0)
    for t, s in pairwise(grid):
        x = x + sde.f(t, x) * (s - t) + sde.g(t, x) * path.increment(t, s)
    torch.testing.assert_close(theirs, x, rtol=0, atol=1e-12)


def test_torchsde_walks_our_path_downwards_by_a_clock():
    """tau = -t: torchsde ascends in tau while the path is asked at descending t."""
    x = state(3, (2,))
    path = WienerTree.like(x, 4, 1.0, 0.0)
    bm = AsTorchsde(path, x, clock=lambda tau: -tau)
    assert torch.equal(bm(torch.tensor(-0.75), torch.tensor(-0.25)), path.increment(0.75, 0.25))
    assert bm.size() == bm.shape == (3, 2)


def test_torchsde_srk_takes_the_area_of_our_paths():
    """Order-1.5 SRK on KeyedIncrements: W and U are those of equation (2), and dx = dW is integrated exactly."""
    import torchsde

    class Drifting(torch.nn.Module):
        noise_type, sde_type = "additive", "ito"

        def f(self, t, x):
            return torch.zeros_like(x)

        def g(self, t, x):
            return torch.eye(2, dtype=x.dtype).expand(len(x), 2, 2)

    x = state(5, (2,))
    path = KeyedIncrements.like(x, 2, 0.0, 1.0)
    bm = AsTorchsde(path, x)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    end = torchsde.sdeint(Drifting(), x, ts, bm=bm, method="srk", dt=0.25)[-1]
    total = values(path, [0.0, 0.25, 0.5, 0.75, 1.0])[-1]
    torch.testing.assert_close(end, total, rtol=0, atol=1e-12)
    dw, area = path.increment_and_area(0.25, 0.75)
    w, u = bm(0.25, 0.75, return_U=True)
    assert torch.equal(w, dw)
    torch.testing.assert_close(u, 0.5 * (dw / 2 + area))
    with pytest.raises(TypeError, match="area"):
        AsTorchsde(WienerTree.like(x, 0, 0.0, 1.0), x)(0.0, 1.0, return_U=True)
    with pytest.raises(ValueError, match="single time"):
        bm(0.5)
