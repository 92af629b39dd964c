"""Does it work: the tests that ask for a GPU, and the same computations on the device and on the CPU.

Both sides compute in float32, without TF32. A state counts as equal when it differs from the CPU's by at most `FACTOR` times
what the CPU's own float32 differs from its float64, and by `FLOOR` of the largest value: rounding, in another order. Adaptive
samplers may differ by as many times their tolerance. Noise is a function of integers, and these are equal bit for bit; a normal
number may differ by the last bit of its float32, and so may what is added up of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor, nn

from benchmarks.gpu.record import Record, sentence
from benchmarks.gpu.stage import Job, Part
from benchmarks.gpu.stages.killed import KILLED, STEPS, trained
from sde_diffusion.data.base import Batch
from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.networks import DiT, UNet
from sde_diffusion.networks.base import Backbone
from sde_diffusion.objectives.base import RunContext
from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sampling import sample
from sde_diffusion.sampling.named import SAMPLERS
from sde_diffusion.sde import VP
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training import ComputeSettings, TrainSettings, train
from sde_diffusion.training.precision import tf32_policy
from solvers import AreaTree, KeyedIncrements, WienerTree
from solvers.random import counters, digest, mix, normals, words
from solvers.wiener import PathSpec

ROOT = Path(__file__).resolve().parents[3]
FACTOR, FLOOR = 30, 1e-6
CPU = torch.device("cpu")

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic matrix products, before CUDA starts


def tests(job: Job, record: Record) -> None:
    """Those marked `cuda`, in a process of pytest."""
    files = [
        str(p) for p in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.cuda" in p.read_text(encoding="utf-8")
    ]
    report = job.folder / "tests.xml"
    options = ["-o", "addopts=", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-m", "cuda"]
    command = [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if not report.exists():
        raise RuntimeError(f"pytest made no report: {(done.stderr or done.stdout).strip()[-200:]}")
    found = ElementTree.parse(report).getroot()
    suite = next(found.iter("testsuite"))
    counts = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    failed, ran = counts["failures"] + counts["errors"], counts["tests"] - counts["skipped"]
    if ran and job.gpu:
        record.figure("tests failed", failed)
    record.note(
        f"{counts['tests']} tests ask for a GPU: {ran - failed} passed, {failed} failed, {counts['skipped']} were skipped."
    )
    for case in found.iter("testcase"):
        for wrong in [*case.findall("failure"), *case.findall("error")]:
            record.note(f"{case.get('name')}: {' '.join((wrong.get('message') or '').split())[:200]}")


def noise(job: Job, record: Record) -> None:
    """The words behind all noise, and each kind of path."""
    shape, wrong = (3, 32, 32), 0
    keys = mix(digest(7), torch.arange(64))
    raw = [words(keys.to(d)[:, None], counters(3072, d)).cpu() for d in (CPU, job.device)]
    rows = [("words of 64 bits", *bits(*raw), torch.equal(*raw))]
    for kind in (KeyedIncrements, WienerTree, AreaTree):
        dw = [path.increment(0.1, 0.7).cpu() for path in (kind(spec(shape, d)) for d in (CPU, job.device))]
        rows.append((kind.__name__, *bits(*dw), torch.allclose(dw[1], dw[0], rtol=2e-7, atol=2.5e-7)))
    for name, same, worst, fine in rows:
        wrong += not fine
        record.row("Noise: the device beside the CPU", ["what", "equal bits", "largest difference", ""],
                   [name, f"{100 * same:.4f}%", f"{worst:.2g}", "equal" if fine else "DIFFERENT"])  # fmt: skip
    record.figure("noise differs", wrong)


def spec(shape: tuple[int, ...], device: torch.device) -> PathSpec:
    """Of 64 samples."""
    return PathSpec(7, torch.arange(64, device=device), shape, 0.0, 1.0)


def bits(one: Tensor, other: Tensor) -> tuple[float, float]:
    """The share of equal numbers, and the largest difference."""
    return (one == other).double().mean().item(), (one.double() - other.double()).abs().max().item()


def model(network: type[Backbone], shape: tuple[int, ...], **options: object) -> Denoiser:
    """A preconditioned network whose last layers are no longer zero, always the same."""
    torch.manual_seed(0)
    made = network.fitting(shape, **options)
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            if not parameter.any():
                parameter.normal_(std=0.05, generator=draws)
    return Preconditioned(made, EDMPreconditioning()).eval()


def samplers(job: Job, record: Record) -> None:
    """Each named sampler on a U-Net, from the same noise."""
    shape = job.scaled((1, 8, 8), (3, 16, 16))
    options = job.scaled({"width": 8, "multipliers": (1,)}, {"width": 32, "multipliers": (1, 2)})
    given, wrong = model(UNet, shape, attention=(0,), **options), 0
    for name in SAMPLERS:
        try:
            fine, row = sampled(name, given, shape, job)
        except Exception as error:
            fine, row = False, [name, "", "", "", sentence(error)]
        wrong += not fine
        columns = ["sampler", "largest difference", "of float32 to float64 on the CPU", "tolerance", ""]
        record.row("Samplers: states on the device beside those on the CPU, over the largest value", columns, row)
    record.figure("samplers differ", wrong)


def sampled(name: str, given: Denoiser, shape: tuple[int, ...], job: Job) -> tuple[bool, list[str]]:
    """Whether the device's samples are the CPU's, and the row that says so."""
    adaptive, tol = name.startswith("adaptive"), job.scaled(0.1, 3e-2)
    budget = {"tol": tol} if adaptive else {"nfe": job.scaled(7, 13)}

    def states(device: torch.device, dtype: torch.dtype) -> Tensor:
        denoiser = deepcopy(given).to(device, dtype)
        reversal, solver = SAMPLERS[name]().build(VP(), denoiser, **budget)
        return sample(reversal, solver, (4, *shape), seed=3, dtype=dtype, device=device).double().cpu()

    with tf32_policy("float32"):
        exact, here, there = states(CPU, torch.float64), states(CPU, torch.float32), states(job.device, torch.float32)
    largest = here.abs().max().item()
    rounding, found = ((one - here).abs().max().item() / largest for one in (exact, there))
    allowed = FACTOR * max(rounding, tol if adaptive else 0.0) + FLOOR  # a step may be accepted here and rejected there
    fine = found <= allowed
    return fine, [name, f"{found:.2g}", f"{rounding:.2g}", f"{allowed:.2g}", "equal" if fine else "DIFFERENT"]


class SameNoise:
    """Denoising score matching with times and noise that are functions of the step and the row: the same on every device."""

    def __call__(
        self, denoiser: Denoiser, sde: LinearSDE, batch: Batch, generator: torch.Generator | None, run: RunContext
    ) -> Tensor:
        """The losses (B,)."""
        x = batch.x
        rows = torch.arange(len(x), device=x.device)
        noise = normals(mix(digest(run.step), rows), tuple(x.shape[1:]), torch.float64).to(x.dtype)
        t = sde.t_min + (sde.horizon - sde.t_min) * (rows.double() + 0.5) / len(x)
        return DenoisingScoreMatching().at(denoiser, sde, x, noise, t)


def training(job: Job, record: Record) -> None:
    """A short training of a U-Net and of a DiT: how far apart the weights end, over how far they went."""
    shape, width = job.scaled((1, 8, 8), (3, 16, 16)), job.scaled(8, 64)
    networks = {"U-Net": model(UNet, shape, width=width, multipliers=(1, 2), attention=(1,)),
                "DiT": model(DiT, shape, patch=2, width=4 * width, depth=2, heads=2)}  # fmt: skip
    wrong = 0
    for name, given in networks.items():
        start = flat(given)
        exact, here = (learned(given, shape, CPU, dtype) - start for dtype in (torch.float64, torch.float32))
        there = learned(given, shape, job.device, torch.float32) - start
        rounding, found = ((one - here).norm().item() / here.norm().item() for one in (exact, there))
        allowed = FACTOR * rounding + FLOOR
        wrong += not found <= allowed
        record.row("Training of 10 steps: weights on the device beside those on the CPU, over the way that they went",
                   ["network", "difference", "of float32 to float64 on the CPU", "tolerance", ""],
                   [name, f"{found:.2g}", f"{rounding:.2g}", f"{allowed:.2g}", "equal" if found <= allowed else "DIFFERENT"])  # fmt: skip
    record.figure("trainings differ", wrong)


def learned(given: Denoiser, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """The weights after a training in float32 without TF32, or in float64."""
    denoiser = deepcopy(given).to(dtype)
    x = torch.randn(64, *shape, generator=torch.Generator().manual_seed(2)).to(dtype)
    settings = TrainSettings(steps=10, batch_size=16, log_every=10, learning_rate=1e-3, warmup=0)
    compute = ComputeSettings(threads=torch.get_num_threads())
    for _ in train(denoiser, VP(), x, settings, objective=SameNoise(), device=device, compute=compute):
        pass
    return flat(denoiser)


def flat(module: nn.Module) -> Tensor:
    """All parameters in one row, float64, on the CPU."""
    return torch.cat([parameter.detach().double().flatten().cpu() for parameter in module.parameters()])


def resumed(job: Job, record: Record) -> None:
    """A training that is killed between two checkpoints and goes on, beside one that was left alone, bit for bit."""
    folder = job.folder / "killed"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.gpu.stages.killed", str(folder), str(job.device)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != -signal.SIGKILL:
        raise RuntimeError(
            f"the training should have been killed and ended with {done.returncode}: {done.stderr.strip()[-200:]}"
        )
    after = trained(folder, job.device)
    whole = trained(None, job.device)
    differ = int((after != whole).sum())
    record.figure("resumed differs", differ)
    record.note(f"A training of {STEPS} steps killed after {KILLED} of them and resumed: {differ} of {len(whole)} numbers of the weights and "
                "their average differ from those of a training that was left alone, with torch's deterministic kernels.")  # fmt: skip
    if job.gpu:
        again = int(
            (trained(None, job.device, deterministic=False) != trained(None, job.device, deterministic=False)).sum()
        )
        record.note(f"Two equal trainings with torch's usual kernels: {again} of {len(whole)} numbers differ.")
    shutil.rmtree(folder, ignore_errors=True)


PARTS = (
    Part("the tests that ask for a GPU", tests, needs=10, limit=60),
    Part("noise on the device", noise, limit=30),
    Part("training on the device", training, limit=40),
    Part("killed and resumed", resumed, needs=10, limit=60),
    Part("samplers on the device", samplers, limit=60),
)
