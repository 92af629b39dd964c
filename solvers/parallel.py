r"""Parallel in time: Picard iteration over a window of steps, for any one-step method.

A method's step Phi_i carries x_i to x_{i+1}. Instead of one after the other, all increments of a window are computed at once,
in one batched call, from the last guess of the whole trajectory, and summed:

    x_{i+1} <- x_0 + sum_{j <= i} (Phi_j(x_j) - x_j).                                                            (1)

The sequential trajectory is the fixed point; after k sweeps its first k states are exact whatever the guess, so that the
iteration ends, and on smooth trajectories it ends in far fewer sweeps than steps. States whose change has fallen below the
tolerance are done, and the window slides past them. The result is that of the sequential loop up to the tolerance; for a
stochastic equation both see the same path.

References:
    Shih et al., Parallel Sampling of Diffusion Models, 2023, https://arxiv.org/abs/2305.16317, algorithm 1
    Lions, Maday & Turinici, Resolution d'EDP par un schema en temps parareel, 2001,
        https://doi.org/10.1016/S0764-4442(00)01793-6
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.equations import Equation, select_rows
from solvers.grids import Spacing, check_grid
from solvers.integrate import Noise, Solver, as_state, check, check_grid_arguments, grid
from solvers.method import Method
from solvers.wiener import KeyedIncrements, WienerPath


@dataclass(frozen=True)
class PicardSolution:
    """The final state (B, *E), the number of sweeps (batched evaluations of the method), and the steps of the grid."""

    x: Tensor
    sweeps: int
    steps: int


@dataclass(frozen=True)
class Picard(Solver):
    """A one-step method on a grid, all steps of a window at once.

    Attributes:
        method: stateless from step to step; its update and the equation must take (B,) times.
        steps, spacing: the grid, as in `FixedGrid`.
        tol: the largest change, root mean square over a sample, with which a state counts as done; per sample.
        window: how many steps are iterated together; memory and the batch of a sweep grow with it.
    """

    method: Method
    steps: int
    spacing: Spacing | None = None
    tol: float = 1e-4
    window: int = 64

    def __post_init__(self):
        """Raises ValueError for a tolerance or a window that is not positive, TypeError for exchanged arguments."""
        check_grid_arguments("Picard", self.method, self.steps)
        if not (self.tol > 0 and self.window >= 1):
            raise ValueError(f"tol > 0 and window >= 1 are needed, got {self.tol} and {self.window}; correct them")

    @property
    def noise(self) -> Noise:
        """Noise of each step, the cheapest."""
        return KeyedIncrements

    def __call__(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Tensor:
        """The last state of `solve`."""
        return self.solve(equation, x, start, stop, noise).x

    def solve(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> PicardSolution:
        """The sequential solution up to `tol`, and what it cost."""
        check(self.method, equation, noise)
        x = as_state(x)
        times = check_grid(grid(equation, start, stop, self.steps, self.spacing))
        if self.method.init(equation, x, times) is not None:
            raise TypeError(
                f"{self.method!r} remembers earlier steps; Picard iteration takes one-step methods, such as Heun"
            )
        done, sweeps, guess = 0, 0, x[None].expand(min(self.window, self.steps) + 1, *x.shape)
        while done < self.steps:
            last = min(done + self.window, self.steps)
            fresh = self._sweep(equation, guess, times[done : last + 1], noise)
            settled = _settled(guess, fresh, self.tol)
            done, sweeps = done + settled, sweeps + 1
            guess = _slide(fresh, settled, min(self.window, self.steps - done))
        return PicardSolution(guess[0], sweeps, self.steps)

    def _sweep(self, equation: Equation, guess: Tensor, times: Sequence[float], noise: WienerPath | None) -> Tensor:
        """Equation (1) over the window: states (K + 1, B, *E) from states (K + 1, B, *E)."""
        steps, batch = len(times) - 1, guess.shape[1]
        flat = guess[:-1].flatten(0, 1)
        t = torch.tensor(times, dtype=torch.float64, device=flat.device).repeat_interleave(batch)
        path = None if noise is None else Window(noise, times)
        stacked = select_rows(equation, torch.arange(batch, device=flat.device).repeat(steps))
        after, _ = self.method.step(stacked, flat, t[: steps * batch], t[batch:], path, None)
        moves = (after - flat).unflatten(0, (steps, batch)).cumsum(0)
        return torch.cat([guess[:1], guess[:1] + moves])


class Window(WienerPath):
    """The increments of consecutive steps of one path, stacked along the batch."""

    def __init__(self, path: WienerPath, times: Sequence[float]):
        self.path, self.times = path, times

    def increment(self, t, s) -> Tensor:
        """All of them, shape (K B, *E); the times are the window's own."""
        return torch.cat([self.path.increment(a, b) for a, b in zip(self.times, self.times[1:], strict=False)])

    def channel(self, k: int) -> WienerPath:
        """The same window of an independent path."""
        return Window(self.path.channel(k), self.times)


def _settled(old: Tensor, new: Tensor, tol: float) -> int:
    """How many steps are done: the first is, by induction; the others while no sample's state has moved by more than tol."""
    change = (new - old)[1:].flatten(2).square().mean(-1).sqrt().amax(-1)
    moving = (change > tol).nonzero()
    return max(1, int(moving[0]) if len(moving) else len(change))


def _slide(states: Tensor, settled: int, window: int) -> Tensor:
    """The guess for the next window: what is known of it, the rest filled with the last state."""
    known = states[settled : settled + window + 1]
    missing = window + 1 - len(known)
    return torch.cat([known, known[-1:].expand(missing, *known.shape[1:])]) if missing > 0 else known
