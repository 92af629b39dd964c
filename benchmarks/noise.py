"""What noise costs: microseconds and memory a step, against torch.randn and torchsde, in one run.

python -m benchmarks.noise
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
import torchsde

from benchmarks.output import save_table
from solvers import EulerMaruyama, FixedGrid, FreshIncrements, ItoSDE, KeyedIncrements, WienerTree
from solvers.wiener import PathSpec

STEPS = 1000
SHAPES = {"4096 x 2": (4096, 2), "64 x 3 x 32 x 32": (64, 3, 32, 32)}


def sweep(make: Callable[[tuple[int, ...]], Callable[[float, float], object]], shape, steps: int) -> float:
    """Microseconds a step of a sequential walk over [0, 1]."""
    ask, h = make(shape), 1 / STEPS
    begin = time.perf_counter()
    for k in range(steps):
        ask(k * h, (k + 1) * h)
    return (time.perf_counter() - begin) / steps * 1e6


def ours(kind):
    def make(shape):
        spec = PathSpec(0, torch.arange(shape[0]), shape[1:], 0.0, 1.0)
        return kind(spec).increment

    return make


def randn(shape):
    generator = torch.Generator().manual_seed(0)
    return lambda t, s: torch.randn(shape, generator=generator)


def interval(halfway: bool):
    def make(shape):
        flat = (shape[0], torch.Size(shape[1:]).numel())
        options = {"halfway_tree": True, "tol": 1e-3} if halfway else {"dt": 1 / STEPS}
        path = torchsde.BrownianInterval(0.0, 1.0, size=flat, dtype=torch.float32, entropy=0, **options)
        return lambda t, s: path(torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))

    return make


CONTESTANTS = {
    "torch.randn": randn,
    "FreshIncrements": ours(FreshIncrements),
    "KeyedIncrements": ours(KeyedIncrements),
    "WienerTree": ours(WienerTree),
    "torchsde BrownianInterval, dt": interval(False),
    "torchsde halfway tree, tol 1e-3": interval(True),
}


def loop_ratio(rounds: int) -> float:
    """Our Euler-Maruyama on torch's generator over a hand-written loop, dx = -x dt + dW, medians of interleaved rounds."""
    x, h = torch.ones(4096, 2), 1 / STEPS
    equation = ItoSDE(lambda x, t: -x, lambda t: 1.0)

    def hand() -> None:
        generator, y = torch.Generator().manual_seed(0), x
        for _ in range(STEPS):
            y = y.add(y, alpha=-h).add_(torch.randn(x.shape, generator=generator), alpha=h**0.5)

    def solver() -> None:
        FixedGrid(EulerMaruyama(), STEPS)(equation, x, 0.0, 1.0, FreshIncrements.like(x, 0, 0.0, 1.0))

    times: dict[Callable[[], None], list[float]] = {hand: [], solver: []}
    for _ in range(rounds):
        for run in times:
            begin = time.perf_counter()
            run()
            times[run].append(time.perf_counter() - begin)
    return median(times[solver]) / median(times[hand])


def main(rounds: int = 5) -> None:
    torch.set_num_threads(1)
    rows = []
    for label, shape in SHAPES.items():
        steps = STEPS if shape[0] == 4096 else 200
        times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        for _ in range(rounds):
            for name, make in CONTESTANTS.items():
                few = min(steps, 200) if name.startswith("torchsde") else steps
                times[name].append(sweep(make, shape, few))
        base = median(times["torch.randn"])
        rows += [[label, name, f"{median(t):.0f}", f"{median(t) / base:.1f}"] for name, t in times.items()]
    rows.append(["4096 x 2", "Euler-Maruyama loop, ours over hand-written", "", f"{loop_ratio(rounds):.2f}"])
    save_table("noise", "Noise for one step", ["state", "path", "us a step", "times torch.randn"], rows)


if __name__ == "__main__":
    main()
