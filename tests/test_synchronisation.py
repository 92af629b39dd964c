"""No host synchronisation inside the loop, proved without an accelerator.

The loop runs on fake tensors: they have a device, "cuda", and a shape, and no values. Whatever would wait for the device
is refused by the watch below: reading a value back (`item`, `bool`, `nonzero`, `equal`, ...), and copies between host and
device, except those from the host that wait for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import TimeMLP, UNet
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import data_form, ddim, probability_flow, reverse_sde
from sde_diffusion.sde import VP
from solvers import (
    ODE,
    AdamsBashforth,
    Ancestral,
    AreaTree,
    Density,
    DiagonalSDE,
    EulerMaruyama,
    ExponentialAdams,
    FreshIncrements,
    ItoSDE,
    KeyedIncrements,
    MarkovChain,
    Method,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
    TargetFamily,
    WienerTree,
    integrate,
)
from solvers.dyadic_tree import DyadicTree
from solvers.methods import METHODS
from solvers.methods.metropolis import RandomWalk
from solvers.methods.sra1 import SRA1
from solvers.wiener import PathSpec

GRID = [1.0, 0.7, 0.5, 0.4, 0.3, 0.22, 0.15, 0.1]
WAITING = (DataDependentOutputException, DynamicOutputShapeException, RuntimeError)


class Watch(TorchDispatchMode):
    """Refuses copies between host and device. Fake tensors themselves refuse to tell a value."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        copies = func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_)
        waits = not (kwargs.get("non_blocking") and args[0].device.type == "cpu")
        devices = {leaf.device.type for leaf in tree_leaves((args, out)) if isinstance(leaf, Tensor)}
        if copies and waits and len(devices) > 1:
            raise RuntimeError(f"{func} copies between {devices}: the host waits for the device")
        return out


@contextmanager
def on_device() -> Iterator[tuple[FakeTensorMode, torch.device]]:
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        yield fake, torch.device("cuda")


def walk_without_waiting(method: Method, equation, noise, event=(3,), model=None) -> Tensor:
    """The last state of a loop over the grid under the watch; the path is made before."""
    with on_device() as (fake, device):
        own = (
            device if noise is not FreshIncrements else torch.device("cpu")
        )  # a generator needs a device that is there
        x = torch.zeros(5, *event, device=own)
        equation = equation if model is None else equation(model._apply(lambda p: torch.empty_like(p, device=own)))
        path = shallow(noise, PathSpec.like(x, 0, GRID[0], GRID[-1])) if equation.stochastic else None
    walk = integrate(method, equation, x, torch.tensor(GRID, dtype=torch.float64), path) if own == device else None
    with fake:
        steps = walk or _unchecked(method, equation, x, path)
        with Watch():
            for _, x in steps:  # noqa: B007
                pass
    assert x.device.type == own.type
    return x


def shallow(noise, spec: PathSpec):
    """A path; a tree with few levels, for fake tensors are slow."""
    return noise(spec, 4) if issubclass(noise, DyadicTree) else noise(spec)


def _unchecked(method: Method, equation, x: Tensor, path) -> Iterator[tuple[float, Tensor]]:
    """The loop without its door, which looks at the values of a state on the host."""
    from solvers.integrate import _steps

    return _steps(method, equation, x, GRID, path)


def drift(x: Tensor, t) -> Tensor:
    return math.cos(t) - torch.sin(x)


def spread(t, s) -> float:
    return abs(s - t) ** 0.5


ITO = ItoSDE(drift, lambda t: 1 + t)
EQUATIONS = {
    ODE: ODE(drift),
    SemilinearODE: SemilinearODE(-1.0, drift),
    ItoSDE: ITO,
    DiagonalSDE: DiagonalSDE(drift, lambda x, t: 0.5 * x),
    SemilinearSDE: SemilinearSDE(-1.0, drift, spread),
    RenoisedODE: RenoisedODE(drift, spread),
    MarkovChain: MarkovChain(lambda x, t, s: x + (s - t) * drift(x, t), spread),
    TargetFamily: TargetFamily(ITO, drift, lambda t: t),
    Density: Density(lambda x: -0.5 * x.square().sum(1), lambda x: -x),
}
CASES = [(method, kind, KeyedIncrements) for method in METHODS for kind in method.orders]
NOISES = [
    (method, kind, noise)
    for method, kind in ((EulerMaruyama(), ItoSDE), (SRA1(), ItoSDE), (RandomWalk(), Density))
    for noise in (FreshIncrements, WienerTree, AreaTree)
    if issubclass(noise, method.needs)
]


def name_of(value):
    return repr(value) if isinstance(value, Method) else value.__name__


@pytest.mark.parametrize(("method", "kind", "noise"), CASES + NOISES, ids=name_of)
def test_no_step_waits_for_the_device(method, kind, noise):
    """Every method on every equation, and every noise: increments, areas, a channel made inside the loop."""
    walk_without_waiting(method, EQUATIONS[kind], noise)


SDE = VP()
SAMPLERS = {
    "flow": (lambda model: probability_flow(SDE, model), AdamsBashforth(4)),
    "data form": (lambda model: data_form(SDE, model), ExponentialAdams(3)),
    "reverse": (lambda model: reverse_sde(SDE, model), EulerMaruyama()),
    "ancestral": (lambda model: ddim(SDE, model, 1.0), Ancestral()),
}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("classes", [None, 10])
def test_no_sampler_of_a_network_waits_for_the_device(sampler, classes):
    """The level and the label reach the network without a copy from the host."""
    make, method = SAMPLERS[sampler]

    model = Preconditioned(TimeMLP(3, 32, 1, classes), EDMPreconditioning())
    walk_without_waiting(method, lambda model: make(model).equation, KeyedIncrements, model=model)


def test_no_sampler_of_a_unet_waits_for_the_device():
    model = Preconditioned(UNet(3), EDMPreconditioning())
    walk_without_waiting(AdamsBashforth(2), lambda m: probability_flow(SDE, m).equation, None, (3, 16, 16), model)


OFFENCES = {
    "item": lambda x: x * x.sum().item(),
    "float": lambda x: x * float(x.max()),
    "bool": lambda x: -x if (x > 0).all() else x,
    "nonzero": lambda x: x[x.nonzero()[:, 0]],
    "mask": lambda x: x[x > 0],
    "equal": lambda x: -x if torch.equal(x, x) else x,
    "to the host": lambda x: x.cpu().to(x.device),
    "from the host": lambda x: x * torch.tensor([0.5], device=x.device),
    "a number from the host": lambda x: x * torch.as_tensor(0.5, device=x.device),
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_the_watch_catches(offence):
    with pytest.raises(WAITING):
        walk_without_waiting(METHODS[0], ODE(lambda x, t: OFFENCES[offence](x)), None)
