"""What noise costs: microseconds and memory a step, against torch.randn and torchsde, in one run.

python -m benchmarks.noise                    two states, 1000 steps over [0, 1], one thread, about four minutes
python -m benchmarks.noise --device cuda      the same on an accelerator, with synchronisation around every turn

All contestants go through the same uniform grid once, in turns; a figure is a contestant's fastest turn. Of a long grid a stretch
from its middle is timed (torchsde's trees: from its beginning, in a path that was given all steps).
Memory is the peak of what a path of 50 steps holds and allocates, construction included, beyond the increment itself,
as the allocator reports it.

torchsde's halfway tree stands twice for each state: resolved to 1e-3, a step of this grid, which is what `max_steps=1000` asks of
a WienerTree, and to 1e-6, which k-diffusion and diffusers set and which compares with a WienerTree of default resolution.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torchsde
from torch.profiler import ProfilerActivity, profile

from benchmarks.output import save_picture, save_table
from solvers import AreaTree, EulerMaruyama, FixedGrid, FreshIncrements, ItoSDE, KeyedIncrements, WienerTree
from solvers.random import counters, fold, folded_words, gaussians, words
from solvers.wiener import PathSpec

STEPS = 1000
SHAPES = {"4096 x 2": (4096, 2), "64 x 3 x 32 x 32": (64, 3, 32, 32)}
TARGETS = {"KeyedIncrements": "<= 5", "WienerTree": "<= 15", "WienerTree, max_steps=1000": "<= 15"}
MISSING = "not measured (no GPU): python -m benchmarks.noise --device cuda"

Ask = Callable[[float, float], object]
Make = Callable[[tuple[int, ...], str], Ask]


def ours(kind, *arguments) -> Make:
    def make(shape, device):
        spec = PathSpec(0, torch.arange(shape[0], device=device), shape[1:], 0.0, 1.0)
        return kind(spec, *arguments).increment

    return make


def with_area(shape, device) -> Ask:
    spec = PathSpec(0, torch.arange(shape[0], device=device), shape[1:], 0.0, 1.0)
    return AreaTree(spec).increment_and_area


def randn(shape, device) -> Ask:
    generator = torch.Generator(device).manual_seed(0)
    return lambda t, s: torch.randn(shape, generator=generator, device=device)


def interval(**options) -> Make:
    def make(shape, device):
        flat = (shape[0], torch.Size(shape[1:]).numel())
        path = torchsde.BrownianInterval(0.0, 1.0, size=flat, dtype=torch.float32, device=device, entropy=0, **options)
        return lambda t, s: path(torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))

    return make


def compiled(shape, device) -> Ask:
    """KeyedIncrements' arithmetic as one program, its interval a tensor."""
    spec = PathSpec(0, torch.arange(shape[0], device=device), shape[1:], 0.0, 1.0)
    keys, pairs = fold(spec.keys()[:, None]), counters(spec.size, spec.device)

    @torch.compile
    def program(salt, scale):
        scrambled = folded_words(keys, fold(words(pairs, salt)))
        return gaussians(scrambled, spec.size, scale).to(torch.float32)

    scale = torch.full((), (1 / STEPS) ** 0.5, dtype=torch.float64, device=device)
    return lambda t, s: program(torch.full((), round(t * STEPS), device=device), scale)


CONTESTANTS: dict[str, Make] = {
    "torch.randn": randn,
    "FreshIncrements": ours(FreshIncrements),
    "KeyedIncrements": ours(KeyedIncrements),
    "KeyedIncrements, torch.compile": compiled,
    "WienerTree": ours(WienerTree),
    "WienerTree, max_steps=1000": ours(WienerTree, 1000),
    "AreaTree, increment and area": with_area,
    "torchsde BrownianInterval, dt": interval(dt=1 / STEPS),
    "torchsde halfway tree, tol 1e-3": interval(halfway_tree=True, tol=1 / STEPS),
    "torchsde halfway tree, tol 1e-6": interval(halfway_tree=True, tol=1e-6),
}


def sweep(make: Make, shape, device: str, stretch: range, now: Callable[[], float]) -> float:
    """Microseconds a step over a stretch of the grid; the step before it is the warm-up."""
    ask, h = make(shape, device), 1 / STEPS
    ask((stretch.start - 1) * h, stretch.start * h)
    begin = now()
    for k in stretch:
        ask(k * h, (k + 1) * h)
    return (now() - begin) / len(stretch) * 1e6


def clock(device: str) -> Callable[[], float]:
    """The thread's own time on the CPU, synchronised wall time on an accelerator."""
    if device == "cpu":
        return time.thread_time

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def memory(make: Make, shape, device: str) -> int:
    """Peak bytes of 50 steps beyond the increment."""
    result = 4 * torch.Size(shape).numel()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        sweep(make, shape, device, range(200, 250), time.perf_counter)
        return torch.cuda.max_memory_allocated() - before - result
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        sweep(make, shape, device, range(200, 250), time.perf_counter)
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held, peak = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak - result


def stretch_of(name: str, shape) -> range:
    few = 60 if shape[0] != 4096 else 400
    return range(1, few) if name.startswith("torchsde") else range(200, 200 + few)


def loop_ratio(rounds: int, device: str, now: Callable[[], float]) -> float:
    """Our Euler-Maruyama on torch's generator over a hand-written loop, dx = -x dt + dW, fastest of interleaved rounds."""
    x, h = torch.ones(4096, 2, device=device), 1 / STEPS
    equation = ItoSDE(lambda x, t: -x, lambda t: 1.0)

    def hand() -> None:
        generator, y = torch.Generator(device).manual_seed(0), x
        for _ in range(STEPS):
            y = y.add(y, alpha=-h).add_(torch.randn(x.shape, generator=generator, device=device), alpha=h**0.5)

    def solver() -> None:
        FixedGrid(EulerMaruyama(), STEPS)(equation, x, 0.0, 1.0, FreshIncrements.like(x, 0, 0.0, 1.0))

    times: dict[Callable[[], None], list[float]] = {hand: [], solver: []}
    for _ in range(rounds):
        for run in times:
            begin = now()
            run()
            times[run].append(now() - begin)
    return min(times[solver]) / min(times[hand])


def measure(shape, device: str, rounds: int, now: Callable[[], float]) -> dict[str, tuple[float, int]]:
    """Microseconds a step and bytes of every contestant."""
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name, make in CONTESTANTS.items():
            times[name].append(sweep(make, shape, device, stretch_of(name, shape), now))
    sizes = {name: memory(make, shape, device) for name, make in CONTESTANTS.items()}
    return {name: (min(times[name]), sizes[name]) for name in CONTESTANTS}


def plot(found: dict[str, dict[str, tuple[float, int]]], name: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(11, 3.2), sharey=True, layout="constrained")
    for panel, (label, figures) in zip(axes, found.items(), strict=True):
        ratios = [figures[c][0] / figures["torch.randn"][0] for c in CONTESTANTS]
        panel.barh(list(CONTESTANTS), ratios, color="#1b6ca8")
        for place, ratio in enumerate(ratios):
            panel.text(ratio * 1.05, place, f"{ratio:.1f}", va="center", fontsize=8)
        panel.set(xscale="log", xlabel="times torch.randn", title=label)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(x=0.15)
    axes[0].invert_yaxis()
    save_picture(figure, name, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    now = clock(options.device)
    found = {label: measure(shape, options.device, options.rounds, now) for label, shape in SHAPES.items()}
    rows = []
    for label, figures in found.items():
        base = figures["torch.randn"][0]
        for name, (us, size) in figures.items():
            row = [label, name, f"{us:.0f}", f"{us / base:.1f}", TARGETS.get(name, ""), f"{size / 1024:.0f}"]
            rows.append(row)
    ratio = loop_ratio(3 * options.rounds, options.device, now)
    rows.append(["4096 x 2", "Euler-Maruyama loop over a hand-written one", "", f"{ratio:.2f}", "<= 1.3", ""])
    if options.device == "cpu":
        rows.append(["both", f"on a GPU: {MISSING}", "", "", "", ""])
    name = "noise" if options.device == "cpu" else "noise-cuda"
    columns = ["state", "path", "us a step", "times torch.randn", "target", "KiB beyond the increment"]
    save_table(name, "Noise for one step", columns, rows, device=options.device)
    plot(found, name)


if __name__ == "__main__":
    main()
