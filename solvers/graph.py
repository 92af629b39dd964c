"""The whole loop as one CUDA graph: recorded once for a shape, replayed without Python between the kernels.

On a fixed grid nothing depends on the state's values: the times are Python floats, and so are the coefficients; no step
reads anything back. Noise of a `KeyedPath` is a function of the samples' keys, which lie in memory that the graph reads:
other samples are other keys in the same place. A generator's noise would be the same at every replay, or belong to the
order of the replays, and is refused.

References:
    PyTorch documentation, CUDA semantics, CUDA Graphs, https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from solvers.equations import Equation
from solvers.integrate import FixedGrid, Solver, check
from solvers.wiener import KeyedIncrements, KeyedPath, PathSpec, WienerPath


class Graphed:
    """A fixed grid on one equation, recorded: `Graphed(FixedGrid(Heun(), 20), equation, spec)(x)`.

    The network behind the equation must be one that can be captured: no random draws, no shapes that depend on values.

    Args:
        spec: shape, dtype, device and seed; its span starts at the time of x and ends at the final time.
        noise: the kind of path of a stochastic equation, one of the keyed ones.

    Raises:
        TypeError: the solver is not a `FixedGrid`, or the noise is drawn from a generator.
        ValueError: the device is not a CUDA one.
    """

    def __init__(
        self,
        solver: Solver,
        equation: Equation,
        spec: PathSpec,
        noise: Callable[[PathSpec], WienerPath] = KeyedIncrements,
    ) -> None:
        if not isinstance(solver, FixedGrid):
            raise TypeError(
                f"a graph holds a loop of fixed length, and {type(solver).__name__} is none; record a FixedGrid"
            )
        path = noise(spec) if equation.stochastic else None
        check(solver.method, equation, path)
        if path is not None and not isinstance(path, KeyedPath):
            raise TypeError(
                f"a graph repeats what it recorded, and {type(path).__name__} draws from a generator; "
                "take KeyedIncrements, WienerTree or AreaTree"
            )
        if spec.device.type != "cuda":
            raise ValueError(
                f"a CUDA graph is recorded on a CUDA device, the spec is on {spec.device}; move its indices there, or "
                "call the solver itself"
            )
        self.spec, self._solver, self._equation, self._path = spec, solver, equation, path
        self._x = torch.zeros(spec.shape, dtype=spec.dtype, device=spec.device)
        self._graph = torch.cuda.CUDAGraph()
        self._end = self._record()

    @torch.no_grad()
    def __call__(self, x: Tensor, indices: Tensor | None = None) -> Tensor:
        """The state at the span's end from x, for the spec's samples or those of other numbers (B,).

        Raises:
            ValueError: x or the indices have another shape, dtype or device than was recorded.
        """
        if (x.shape, x.dtype, x.device) != (self._x.shape, self._x.dtype, self._x.device):
            raise ValueError(
                f"the graph was recorded for {tuple(self._x.shape)}, {self._x.dtype} on {self._x.device}, got "
                f"{tuple(x.shape)}, {x.dtype} on {x.device}; record another"
            )
        if self._path is not None:
            self._path.renumber(self.spec.indices if indices is None else indices)
        self._x.copy_(x)
        self._graph.replay()
        return self._end.clone()

    @torch.no_grad()
    def _record(self) -> Tensor:
        """Warm up on a stream of its own, as capturing needs (libraries, channels), then capture."""
        with torch.cuda.device(self.spec.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(2):
                    self._solve()
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._graph):
                return self._solve()

    def _solve(self) -> Tensor:
        if self._path is not None:
            self._path.forget()
        return self._solver(self._equation, self._x, self.spec.start, self.spec.stop, self._path)
