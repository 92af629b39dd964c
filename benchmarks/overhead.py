"""Microseconds that a sampler spends beyond the model, for each model call.

    python -m benchmarks.overhead                      4096 x 2 in float32, 50 steps, one thread
    python -m benchmarks.overhead --device cuda        the same on an accelerator

All samplers take turns in every round of one run, the bare model among them. A figure is

    (time of a whole sampling) / calls - (time of a bare model call),

from the fastest turn of each over the rounds, because other programs only add time. Set-up (grids, paths) is included, but not
multistep tables, which the warm-up has made for their grid. The medians stand beside it. On the CPU time is the thread's own
processor time, on an accelerator the wall time between synchronizations.

Writes results/overhead-DEVICE.json and .png and prints the table. Peers that are not installed are named, with the
command that installs them.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.overhead_runs import EULER, HEUN, MULTISTEP, NOISE, PATH, PEERS, SOURCES, Half, Run
from sde_diffusion.denoisers.base import Preconditioned, floating_dtype
from sde_diffusion.networks import UNet
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.report.plots.style import save
from sde_diffusion.reversal import probability_flow
from sde_diffusion.sde import VP
from solvers import ODE, Euler, FixedGrid
from solvers.elementwise import constant
from solvers.graph import Graphed
from solvers.wiener import PathSpec

TARGETS = {
    "probability_flow, Euler": 20,
    "probability_flow, Heun": 20,
    "data_form, ExponentialAdams(2)": 20,
    "data_form, ExponentialAdams(4)": 20,
    "probability_flow, AdamsBashforth(5)": 20,
    "data_form, PredictEvaluateCorrect(2)": 20,
    "default_solver": 20,
    "reverse_sde, EulerMaruyama, FreshIncrements": 70,
}
COLOURS = {"ours": "#1b6ca8", "hand-written": "#7f7f7f"}
BARE_CALLS = 200
NO_GPU = "not measured (no GPU): python -m benchmarks.overhead --device cuda"
INSTALL = "pip install 'sde-diffusion[bench]'"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs="+", default=[4096, 2], help="(B, *E)")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def gather(model: Half, steps: int) -> tuple[list[Run], list[str]]:
    """All samplers, and the peers that are missing."""
    runs = [run for source in SOURCES.values() for run in source(model, steps)]
    missing = []
    for name, source in PEERS.items():
        try:
            runs += source(model, steps)
        except ImportError as error:
            missing.append(f"{name} ({error})")
    return runs, missing


def clock(device: str) -> Callable[[], float]:
    if not device.startswith("cuda"):
        return time.thread_time

    def synchronised() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return synchronised


def duration(now: Callable[[], float], work: Callable[[], object]) -> float:
    """Seconds of one call."""
    begin = now()
    work()
    return now() - begin


@torch.no_grad()
def measure(runs: list[Run], model: Half, x: Tensor, rounds: int, now: Callable[[], float]) -> list[dict]:
    """A row for each sampler: its model calls and the microseconds a call beyond them."""
    calls = [count(run, model, x) for run in runs]
    turns: list[list[float]] = [[] for _ in runs]
    bare: list[float] = []
    gc.disable()
    for _ in range(rounds):
        gc.collect()
        bare.append(duration(now, lambda: call(model, x, BARE_CALLS)) / BARE_CALLS)
        for run, n, seen in zip(runs, calls, turns, strict=True):
            seen.append(duration(now, lambda run=run: run.sample(x)) / n)
    gc.enable()
    return [record(run, n, seen, bare) for run, n, seen in zip(runs, calls, turns, strict=True)]


def record(run: Run, calls: int, turns: list[float], bare: list[float]) -> dict:
    """Seconds a call of every turn, of a sampler and of the bare model, as a row in microseconds."""
    about = {"library": run.library, "name": run.name, "kind": run.kind, "calls": calls}
    figures = {"us": min(turns) - min(bare), "us_median": statistics.median(turns) - statistics.median(bare)}
    return about | {name: round(1e6 * seconds, 1) for name, seconds in figures.items()}


def call(model: Half, x: Tensor, times: int) -> None:
    """Bare model calls; each answer is dropped at once, as in a sampler, so that its memory is the next one's."""
    for _ in range(times):
        model(x)


@torch.no_grad()
def unet_share(
    device: str, network: nn.Module | None = None, batch: int = 64, steps: int = 50, rounds: int = 10
) -> dict[str, float]:
    """The loop's share of the time of sampling with a U-Net: as a Python loop, and on a GPU as one CUDA graph.

    Both against the network alone, called as often: in Python, and captured.
    """
    spec = PathSpec(0, torch.arange(batch, device=device), (3, 32, 32), VP().horizon, VP().t_min)
    model = Preconditioned(network or UNet(3), EDMPreconditioning()).to(device).eval()
    own = floating_dtype(model) or torch.float32
    flow, solver, x = (
        probability_flow(VP(), model).equation,
        FixedGrid(Euler(), steps),
        torch.zeros(spec.shape).to(device),
    )
    alone = ODE(lambda x, t: model.backbone(x.to(own), constant(t, own, x.device)).to(x.dtype))
    works = {
        "loop": lambda: solver(flow, x, spec.start, spec.stop),
        "network": lambda: [alone.drift(x, 0.5) for _ in range(steps)],
    }
    if device.startswith("cuda"):
        works["graph"] = partial(Graphed(solver, flow, spec), x)
        works["network graph"] = partial(Graphed(FixedGrid(Bare(), steps), alone, spec), x)
    now, seen = clock(device), {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            seen[name].append(duration(now, work))
    best = {name: min(times) for name, times in seen.items()}
    pairs = (("loop", "network"), ("graph", "network graph"))
    return {kind: 1 - best[alone] / best[kind] for kind, alone in pairs if kind in best}


class Bare(Euler):
    """No update: the field is asked, and its answer is the state."""

    def step(self, equation, x, t, s, path, state):
        return equation.drift(x, t), None


def count(run: Run, model: Half, x: Tensor) -> int:
    """Model calls of one sampling; also the warm-up."""
    before = model.calls
    end = run.sample(x)
    if end.shape != x.shape or not torch.isfinite(end).all():
        raise ArithmeticError(f"{run.library} {run.name} did not return finite samples of shape {tuple(x.shape)}")
    return model.calls - before


def machine(device: str) -> dict:
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else cpu_name()
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    for package in PEERS:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"device": name, "threads": torch.get_num_threads(), "versions": versions}


def cpu_name() -> str:
    found = [line for line in read("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    return found[0].split(": ")[1] if found else platform.processor()


def read(path: str) -> str:
    return Path(path).read_text() if Path(path).exists() else ""


def show(rows: list[dict], missing: list[str], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("kind", "library", "sampler", "calls", "us a call", "median", "target", title=title)
    for row in in_order(rows):
        target = f"<= {TARGETS[row['name']]}" if row["name"] in TARGETS else ""
        figures = (str(row["calls"]), f"{row['us']:.1f}", f"{row['us_median']:.1f}", target)
        table.add_row(row["kind"], row["library"], row["name"], *figures, style="bold" * (row["library"] == "ours"))
    console = Console(width=max(Console().width, 130))
    console.print(table)
    for name in missing:
        console.print(f"missing: {name}; {INSTALL}", markup=False)


def in_order(rows: list[dict]) -> list[dict]:
    """Kind by kind, the fastest first."""
    kinds = [EULER, HEUN, MULTISTEP, NOISE, PATH]
    return sorted(rows, key=lambda row: (kinds.index(row["kind"]), row["us"]))


def plot(rows: list[dict], path: Path, title: str) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    bars = in_order(rows)[::-1]
    figure, axes = plt.subplots(figsize=(9, 0.24 * len(bars) + 1.2), layout="constrained")
    places = spread(bars)
    axes.barh(places, [max(row["us"], 0.1) for row in bars], color=[COLOURS.get(r["library"], "#d9a441") for r in bars])
    axes.set_yticks(places, [f"{row['library']}: {row['name']}" for row in bars], fontsize=8)
    for place, row in zip(places, bars, strict=True):
        axes.text(max(row["us"], 0.1) * 1.05, place, f"{row['us']:.0f}", va="center", fontsize=7)
    axes.set(xscale="log", xlabel="microseconds a model call, beyond the model", title=title)
    axes.title.set_fontsize(9)
    axes.margins(y=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    figure.set_dpi(130)
    save(figure, path)
    plt.close(figure)


def spread(bars: list[dict]) -> list[float]:
    """Positions of the bars, with a gap between kinds."""
    places, at = [], 0.0
    for before, row in zip([None, *bars], bars, strict=False):
        at += 1.0 if before is None or before["kind"] == row["kind"] else 1.7
        places.append(at)
    return places


def main() -> None:
    options = arguments()
    warnings.filterwarnings("ignore", module="torchsde|diffusers|k_diffusion")
    torch.set_num_threads(1)
    model = Half().to(options.device)
    x = torch.randn(options.shape, generator=torch.Generator().manual_seed(0)).to(options.device)
    runs, missing = gather(model, options.steps)
    rows = measure(runs, model, x, options.rounds, clock(options.device))
    share = unet_share(options.device) if options.device.startswith("cuda") else NO_GPU
    shape = " x ".join(map(str, options.shape))
    about = machine(options.device)
    title = f"Overhead a model call: {shape} float32, {options.steps} steps, {about['device']}, one thread"
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / f"overhead-{options.device.split(':')[0]}"
    settings = {"shape": options.shape, "dtype": "float32", "steps": options.steps, "rounds": options.rounds}
    record = {"machine": about, "settings": settings, "targets_us": TARGETS, "rows": rows, "missing": missing} | {
        "unet_share": share
    }
    stem.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    plot(rows, stem.with_suffix(".png"), title)
    show(rows, missing, title)
    sys.stdout.write(f"loop's share of a U-Net's sampling time: {share}\n")


if __name__ == "__main__":
    main()
