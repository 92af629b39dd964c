"""The loop as one CUDA graph: what it needs of a path, its door, and, where there is a GPU, the graph itself."""

from __future__ import annotations

import pytest
import torch

from solvers import EulerMaruyama, FixedGrid, FreshIncrements, Heun, ItoSDE, KeyedIncrements, WienerTree
from solvers.adaptive_sde import AdaptiveSDE
from solvers.graph import Graphed
from solvers.methods.sra1 import SRA1
from solvers.testing.problems import additive
from tests.solvers.paths import KEYED, spec

NOISY = ItoSDE(lambda x, t: torch.cos(t * x), lambda t: 1 + t)


@pytest.mark.parametrize("kind", KEYED)
def test_a_renumbered_path_is_the_path_of_those_samples(kind):
    """Bit for bit, channels too, whatever was asked before; its keys stay where they are in memory."""
    path, numbers = kind(spec(3)), torch.tensor([7, 1, 40])
    path.increment(0.1, 0.3), path.channel(2).increment(0.1, 0.3)
    place = path._keys.data_ptr()
    path.renumber(numbers)
    other = kind(spec(indices=numbers))
    assert torch.equal(path.increment(0.1, 0.3), other.increment(0.1, 0.3))
    assert torch.equal(path.channel(2).increment(0.1, 0.3), other.channel(2).increment(0.1, 0.3))
    assert torch.equal(path.channel(5).increment(0.1, 0.3), other.channel(5).increment(0.1, 0.3))
    assert path._keys.data_ptr() == place


@pytest.mark.parametrize("wrong", [torch.arange(4), torch.zeros(3)])
def test_other_numbers_are_refused(wrong):
    with pytest.raises((TypeError, ValueError), match=r"numbers there|int64"):
        KeyedIncrements(spec(3)).renumber(wrong)


@pytest.mark.parametrize(
    ("solver", "noise", "error", "says"),
    [
        (AdaptiveSDE.tol(1e-2), KeyedIncrements, TypeError, "AdaptiveSDE is none; record a FixedGrid"),
        (FixedGrid(Heun(), 4), KeyedIncrements, TypeError, "Heun integrates ODE, got ItoSDE"),
        (FixedGrid(EulerMaruyama(), 4), FreshIncrements, TypeError, "FreshIncrements draws from a generator"),
        (FixedGrid(SRA1(), 4), WienerTree, TypeError, "Levy area"),
        (FixedGrid(EulerMaruyama(), 4), WienerTree, ValueError, "on cpu; move its indices there"),
    ],
)
def test_the_door(solver, noise, error, says):
    with pytest.raises(error, match=says):
        Graphed(solver, NOISY, spec(3), noise)


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KEYED)
def test_a_replayed_graph_is_the_loop(kind):
    """The same states as the loop's, for other states and other samples than it was recorded with."""
    here, solver = spec(5, (3,), torch.float32, indices=torch.arange(5, device="cuda")), FixedGrid(EulerMaruyama(), 20)
    graph = Graphed(solver, additive(ItoSDE, bend=1.0), here, kind)
    for numbers in (torch.arange(5), torch.tensor([9, 3, 77, 2, 1])):
        x = torch.linspace(-1, 1, 15, device="cuda").reshape(5, 3) * (1 + numbers[0])
        other = spec(5, (3,), torch.float32, indices=numbers.cuda())
        expected = solver(additive(ItoSDE, bend=1.0), x, here.start, here.stop, kind(other))
        torch.testing.assert_close(graph(x, numbers.cuda()), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.cuda
def test_values_on_the_gpu_are_those_of_the_cpu():
    """Within the last bit of float32: erfinv in float64 may differ by its own last bit."""
    for kind in KEYED:
        dw = [kind(spec(50, (3,), torch.float32, indices=torch.arange(50, device=d))).increment(0.1, 0.7).cpu()
              for d in ("cpu", "cuda")]  # fmt: skip
        torch.testing.assert_close(*dw, rtol=2e-7, atol=1e-8)
