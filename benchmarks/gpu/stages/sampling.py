"""Sampling: the loop's share of a U-Net's time, the overhead of samplers, what noise costs alone and in a sampler.

The share of a kind of noise is 1 less the time of the same sampler with increments that are always the same tensor, over its
time with that noise: what the noise adds to the wall time, whatever runs at the same time.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks import noise as noises
from benchmarks.gpu.record import Record, sentence
from benchmarks.gpu.stage import Job, Part
from benchmarks.networks import EVENT, fastest
from benchmarks.overhead import clock, count, in_order, measure, unet_share
from benchmarks.overhead_runs import PEERS, SOURCES, Half, Run
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import UNet
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sampling import sample
from sde_diffusion.sampling.named import SAMPLERS
from sde_diffusion.sde import VP
from solvers import FreshIncrements, KeyedIncrements, WienerTree
from solvers.wiener import PathSpec, WienerPath

SIZES = ("small", "ddpm++")
NOISES = {"KeyedIncrements": KeyedIncrements, "WienerTree": WienerTree, "FreshIncrements": FreshIncrements}
CHEAP_PEERS = ("azula", "torchsde")
"""Peers whose import is quick, for a quick run."""


def unet(name: str, job: Job) -> nn.Module:
    """A U-Net of this size, on a GPU in bfloat16."""
    options = job.scaled({"width": 8, "multipliers": (1,)}, {**UNet.presets[name], "dropout": 0.0})
    return UNet.fitting(EVENT, **options).to(job.device, torch.bfloat16 if job.gpu else torch.float32).eval()


def loop_share(name: str, job: Job, record: Record) -> None:
    """Euler's method on the flow, in Python and as one CUDA graph."""
    batch, steps, rounds = job.scaled((2, 3, 1), (64, 20, 5))
    shares = unet_share(str(job.device), unet(name, job), batch, steps, rounds)
    shown = [f"{100 * shares[kind]:.2f}%" if kind in shares else "-" for kind in ("loop", "graph")]
    for kind, share in shares.items():
        record.figure(f"{name}, {kind}", share)
    record.row("The loop's share of sampling time", ["U-Net", "batch", "steps", "in Python", "as one CUDA graph"],
               [name, str(batch), str(steps), *shown])  # fmt: skip


@torch.no_grad()
def noise_share(name: str, job: Job, record: Record) -> None:
    """Each kind of noise in Euler-Maruyama."""
    denoiser = Preconditioned(unet(name, job), EDMPreconditioning())
    batch, steps, rounds = job.scaled((2, 3, 1), (64, 20, 5))
    reversal, solver = SAMPLERS["euler_maruyama"]().build(VP(), denoiser, steps=steps)
    drawn = partial(sample, reversal, solver, (batch, *EVENT), chunk=batch, device=job.device)
    turns: dict[str, Callable[[], object]] = {
        kind: partial(drawn, noise=made) for kind, made in {**NOISES, "none": Same}.items()
    }
    best = fastest(turns, rounds, job.device.type)
    for kind, made in NOISES.items():
        share = 1 - best["none"] / best[kind]
        default = made is solver.noise
        if default:
            record.figure(f"{name}, noise", share)
        record.row("Noise's share of Euler-Maruyama", ["U-Net", "batch", "noise", "seconds", "share"],
                   [name, str(batch), kind + ", the default" * default, f"{best[kind]:.3g}", f"{100 * share:.2f}%"])  # fmt: skip


class Same(WienerPath):
    """Increments that cost nothing: the same tensor at each step."""

    def __init__(self, spec: PathSpec) -> None:
        self.value = torch.full(spec.shape, 0.01, dtype=spec.dtype, device=spec.device)

    def increment(self, t: object, s: object) -> Tensor:
        return self.value

    def channel(self, k: int) -> WienerPath:
        return self


def overhead(job: Job, record: Record) -> None:
    """Every sampler on a model that costs nearly nothing: microseconds a call beyond the model."""
    warnings.filterwarnings("ignore", module="torchsde|diffusers|k_diffusion")
    shape, steps, rounds = job.scaled(((16, 2), 4, 1), ((4096, 2), 50, 8))
    model, x = Half().to(job.device), torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(job.device)
    runs = list(working(model, x, steps, job, record))
    rows = measure(runs, model, x, rounds, clock(job.device.type))
    columns = ["kind", "library", "sampler", "calls", "us a call", "median"]
    for one in in_order(rows):
        shown = [
            one["kind"],
            one["library"],
            one["name"],
            str(one["calls"]),
            f"{one['us']:.1f}",
            f"{one['us_median']:.1f}",
        ]
        record.row(f"Overhead beyond the model, {shape[0]} x {shape[1]}, {steps} steps", columns, shown)


@torch.no_grad()
def working(model: Half, x: Tensor, steps: int, job: Job, record: Record) -> Iterator[Run]:
    """The samplers that run on this device; a sentence for each library or sampler that does not."""
    peers = {name: PEERS[name] for name in (CHEAP_PEERS if job.quick else PEERS)}
    for name, source in {**SOURCES, **peers}.items():
        try:
            for run in source(model, steps):
                if fails := failure(run, model, x):
                    record.note(f"{run.library}, {run.name}: {fails}")
                else:
                    yield run
        except Exception as error:
            record.note(f"{name} is left out: {sentence(error)}")


def failure(run: Run, model: Half, x: Tensor) -> str:
    """What goes wrong in one sampling; nothing where nothing does."""
    try:
        count(run, model, x)
    except Exception as error:
        return sentence(error)
    return ""


def noise(job: Job, record: Record) -> None:
    """Microseconds a step of each kind of path, over torch.randn."""
    now, device = clock(job.device.type), str(job.device)
    names = [name for name in noises.CONTESTANTS if not (job.quick and "compile" in name)]
    names.sort(key=lambda name: "compile" in name)  # what takes longest to begin comes last
    for label, shape in noises.SHAPES.items():
        few = job.scaled(2, 60)
        base = float("nan")
        for name in names:
            first = 1 if name.startswith("torchsde") else 200
            try:
                turns = [
                    noises.sweep(noises.CONTESTANTS[name], shape, device, range(first, first + few), now)
                    for _ in range(job.scaled(1, 3))
                ]
            except Exception as error:
                record.note(f"{name}, {label}: {sentence(error)}")
                continue
            base = min(turns) if name == "torch.randn" else base
            record.row("Noise for one step", ["state", "path", "us a step", "times torch.randn"],
                       [label, name, f"{min(turns):.0f}", f"{min(turns) / base:.1f}"])  # fmt: skip


def noise_loop(job: Job, record: Record) -> None:
    """Our loop of Euler-Maruyama over one written by hand."""
    began = time.perf_counter()
    found = noises.loop_ratio(job.scaled(1, 5), str(job.device), clock(job.device.type))
    record.figure("Euler-Maruyama over a hand-written loop", found)
    record.note(
        f"Euler-Maruyama with torch's noise takes {found:.2f} times a hand-written loop ({time.perf_counter() - began:.0f} s)."
    )


PARTS = (
    *(Part(f"the loop's share, {name}", partial(loop_share, name), limit=40) for name in SIZES),
    *(Part(f"noise in a sampler, {name}", partial(noise_share, name), limit=40) for name in SIZES),
    Part("overhead", overhead, needs=10, limit=60),
    Part("noise alone", noise, needs=10, limit=60),
    Part("the loop of Euler-Maruyama", noise_loop, limit=20),
)
