"""Under torch.compile nothing is compiled anew between steps, whatever the times.

The compiler's front end decides what is compiled anew; its "eager" back end then runs the graph as it stands, so that the
tests need no C++ compiler.
"""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.exc import RecompileError
from torch._dynamo.testing import CompileCounter

from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.denoisers.compiled import Compiled
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import data_form, ddim, probability_flow, reverse_sde
from sde_diffusion.sde import VP
from solvers import Ancestral, EulerMaruyama, ExponentialAdams, FixedGrid, Heun, KeyedIncrements

SAMPLERS = {
    "flow": (probability_flow, Heun()),
    "data form": (data_form, ExponentialAdams(3)),
    "reverse": (reverse_sde, EulerMaruyama()),
    "ancestral": (lambda sde, model: ddim(sde, model, 1.0), Ancestral()),
}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def network() -> TimeMLP:
    net = TimeMLP(2, 32, 2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return net


@torch.no_grad()
def walk(model: Denoiser, sampler: str) -> torch.Tensor:
    """12 steps; a compilation after the first call is an error."""
    make, method = SAMPLERS[sampler]
    reversal = make(VP(), model)
    x = torch.linspace(-1, 1, 16).reshape(8, 2)
    noise = KeyedIncrements.like(x, 0, reversal.start, reversal.stop) if reversal.equation.stochastic else None
    with torch._dynamo.config.patch(error_on_recompile=True):
        return FixedGrid(method, 12)(reversal.equation, x, reversal.start, reversal.stop, noise)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_compiled_network_is_compiled_once(sampler):
    net, counter = network(), CompileCounter()
    end = walk(Preconditioned(torch.compile(net, backend=counter, fullgraph=True), EDMPreconditioning()), sampler)
    assert counter.frame_count == 1
    torch.testing.assert_close(end, walk(Preconditioned(net, EDMPreconditioning()), sampler), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_compiled_denoiser_is_compiled_once(sampler):
    model, counter = Preconditioned(network(), EDMPreconditioning()), CompileCounter()
    end = walk(Compiled(model, backend=counter, fullgraph=True), sampler)
    assert counter.frame_count == 1
    torch.testing.assert_close(end, walk(model, sampler), rtol=1e-5, atol=1e-5)


def test_levels_as_floats_would_be_compiled_anew():
    """What `Compiled` is for, and that this file would notice."""
    with pytest.raises(RecompileError):
        walk(
            torch.compile(Preconditioned(network(), EDMPreconditioning()), backend=CompileCounter(), fullgraph=True),
            "flow",
        )
