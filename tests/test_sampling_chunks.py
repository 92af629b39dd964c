"""The network always sees sample i at position i modulo the chunk: no request tells what it makes of positions."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal import data_form, probability_flow, reverse_sde
from sde_diffusion.sampling.sample import sample, sample_chunks
from sde_diffusion.sde import VP
from solvers import EulerMaruyama, ExponentialAdams, FixedGrid, Heun

SDE, CHUNK = VP(), 8
SAMPLERS = {
    "reverse_sde": (reverse_sde, EulerMaruyama()),
    "flow": (probability_flow, Heun()),
    "data_form": (data_form, ExponentialAdams(2)),
}


class Partial(Denoiser):
    """Answers by the place in the batch as well, as a network's rounding does, but for everybody to see."""

    def forward(self, x_t, kernel, **condition):
        assert len(x_t) == CHUNK, "a chunk of another size"
        return 0.3 * x_t + torch.arange(CHUNK).to(x_t)[:, None]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("first", "count"), [(0, 1), (0, 8), (3, 2), (7, 2), (8, 8), (13, 7), (5, 15)])
def test_a_sample_is_the_same_wherever_the_request_begins_and_ends(name, first, count):
    make, method = SAMPLERS[name]
    reversal, solver = make(SDE, Partial()), FixedGrid(method, 4)
    whole = sample(reversal, solver, (24, 2), seed=3, chunk=CHUNK)
    part = sample(reversal, solver, (count, 2), seed=3, first=first, chunk=CHUNK)
    assert torch.equal(part, whole[first : first + count])


def test_chunks_come_as_they_are_made():
    """Sizes of the parts: up to the first border, whole chunks, the rest."""
    reversal, solver = probability_flow(SDE, Partial()), FixedGrid(Heun(), 2)
    assert [len(part) for part in sample_chunks(reversal, solver, (20, 2), first=5, chunk=CHUNK)] == [3, 8, 8, 1]
