"""Sampling one call of the denoiser at a time, for programs that call the network themselves.

questions = ask(sampler.build(sde, oracle := Oracle(), nfe=20), oracle, x)
x_t, kernel = next(questions)
x_t, kernel = questions.send(denoiser(x_t, kernel))     # ... until StopIteration, whose value is the sample
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from sde_diffusion.reversal.base import Reversal
from solvers.integrate import Solver, state_dtype
from solvers.stepwise import Oracle, Questions, inside_out, stepwise
from solvers.wiener import WienerPath


def ask(built: tuple[Reversal, Solver], oracle: Oracle, x: Tensor, path: WienerPath | None = None) -> Questions[Tensor]:
    """From x (B, *E) at the horizon to the sample, as `sample` makes it; yields (x_t, kernel), receives E[x_0 | x_t].

    `built` is what a sampler builds of the process and the oracle. Raises what `solvers.stepwise` does.
    """
    reversal, solver = built
    start, stop = reversal.start, reversal.stop
    y = reversal.to_chart(x.to(state_dtype(x.dtype)), start)
    y = yield from stepwise(solver, reversal.equation, y, start, stop, oracle, path)
    return (yield from inside_out(oracle, partial(reversal.finish, reversal.from_chart(y, stop), stop)))
