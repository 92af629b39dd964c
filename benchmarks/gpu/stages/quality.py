"""Quality: a U-Net trained on Fashion-MNIST for as long as the budget allows; its samples beside real pictures.

The learning rate falls with the clock, to zero at the end of the training's time. The Frechet distance is that of the features of
a classifier, trained on pictures that are in no compared set, between samples and held-out pictures; its floor is that of as many
training pictures. The averaged model is left for the stage `tuning`.
"""

from __future__ import annotations

import math
import shutil
import time
from contextlib import closing
from typing import cast

import torch
from torch import Tensor

from benchmarks.gpu.record import Record
from benchmarks.gpu.stage import Job, Part
from benchmarks.gpu.stages.pictures import Pictures, pictures
from benchmarks.networks import clocked, parameters
from sde_diffusion import DiffusionModel
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.metrics import estimate_distance, frechet, train_classifier
from sde_diffusion.networks import UNet
from sde_diffusion.report.plots.images import image_grid
from sde_diffusion.reversal import probability_flow
from sde_diffusion.sampling.sample import initial_state
from sde_diffusion.training import EMA, ComputeSettings, TrainSettings, train
from solvers import Euler, FixedGrid
from solvers.parallel import Picard
from solvers.wiener import PathSpec

MODEL = "fashion"
AFTERWARDS = 25.0
"""Seconds of the stage that are kept for samples and distances, on a GPU in full size."""
LONGEST = 10**6


def training(job: Job, record: Record) -> None:
    """Trains until the time is over, and saves the model with averaged weights."""
    given, said = pictures(job)
    if said:
        record.note(said)
    sizes = job.scaled(
        {"width": 8, "multipliers": (1,), "blocks": 1},
        {"width": 64, "multipliers": (1, 2, 2), "blocks": 2, "attention": (2,)},
    )
    network = UNet.fitting(tuple(given.x.shape[1:]), **sizes)
    model = DiffusionModel.for_data(given.x, network=network, levels=256)
    z = model.standardization.to_standard(given.x).to(job.device)
    settings = TrainSettings(steps=LONGEST, batch_size=job.scaled(8, 256), learning_rate=1e-3, warmup=job.scaled(2, 300),
                             log_every=job.scaled(2, 25), checkpoint_every=LONGEST)  # fmt: skip
    ema = EMA(model.denoiser, settings.ema_decay)
    seconds = job.scaled(min(2.0, job.left() / 3), job.left() - AFTERWARDS)
    clock = Clock(max(seconds, 0.5))
    compute = ComputeSettings(
        "bfloat16" if job.gpu else "float32", channels_last=job.gpu, threads=torch.get_num_threads()
    )
    options = {"device": job.device, "ema": ema, "schedule": clock.share, "compute": compute}
    reports = train(model.denoiser, model.sde, z, settings, **options)
    with closing(reports):  # pyright: ignore[reportArgumentType]
        last = next(report for report in reports if clock.elapsed() >= clock.seconds)
    model.denoiser, model.trained = cast(Denoiser, ema.model), True
    folder = job.folder / MODEL
    shutil.rmtree(folder, ignore_errors=True)
    model.save(folder)
    images = last.step * settings.batch_size
    record.figure("seconds of training", clock.elapsed())
    record.figure("loss", last.loss)
    record.note(f"{given.name}: a U-Net of {parameters(network) / 1e6:.2f} M parameters saw {images:,} pictures in {last.step} steps and "
                f"{clock.elapsed():.0f} s ({images / clock.elapsed():.0f} pictures/s); the loss at the end was {last.loss:.4g}.")  # fmt: skip


class Clock:
    """A factor of the learning rate that falls with the wall clock, as half a cosine."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.began = seconds, time.monotonic()

    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self.began

    def share(self, step: int, steps: int) -> float:
        """From 1 to 0."""
        return 0.5 * (1 + math.cos(math.pi * min(1.0, self.elapsed() / self.seconds)))


def loaded(job: Job) -> DiffusionModel:
    """The model of the training. Raises FileNotFoundError where none was trained."""
    folder = job.folder / MODEL
    if not folder.is_dir():
        raise FileNotFoundError("there is no trained model, because the training did not come to its end")
    return DiffusionModel.load(folder, device=job.device)


def samples(job: Job, record: Record) -> None:
    """Samples, their picture, and their Frechet distance over its floor."""
    (given, _), model = pictures(job), loaded(job)
    count, calls = len(given.held_out), job.scaled(4, 20)
    began = time.perf_counter()
    x = model.sample(count, nfe=calls, chunk=min(count, 500)).clamp(-1, 1).cpu()
    seconds = time.perf_counter() - began
    record.note(f"{count} samples of {calls} calls took {seconds:.2f} s.")
    record.picture(image_grid(x[:100], job.folder / "gpu-samples.png", columns=20))
    for name, found, low, high in distances(given, x, job):
        record.figure(name, found)
        record.row("Frechet distance of a classifier's features", ["of", "to held-out pictures", "95%"],
                   [f"{count} {name}", f"{found:.4g}", f"{low:.3g} to {high:.3g}"])  # fmt: skip
    floor = record.found["figures"]["training pictures"]
    record.figure("Frechet over its floor", record.found["figures"]["samples"] / floor)
    record.note(
        f"The samples' distance is {record.found['figures']['Frechet over its floor']:.3g} times that of real pictures."
    )


def distances(given: Pictures, x: Tensor, job: Job) -> list[tuple[str, float, float, float]]:
    """(what, distance, low, high) of samples and of training pictures, in features of a classifier of the other pictures."""
    count = len(x)
    others, labels = given.x[count:].to(job.device), given.labels[count:].to(job.device)
    network = train_classifier(others, labels, 10, steps=job.scaled(4, 600))
    truth = network.features(given.held_out.to(job.device)).cpu()
    rows = []
    for name, pictures_ in (("samples", x), ("training pictures", given.x[:count])):
        found = estimate_distance(
            frechet, network.features(pictures_.to(job.device)).cpu(), truth, resamples=job.scaled(4, 40)
        )
        rows.append((name, found.value, found.low, found.high))
    return rows


@torch.no_grad()
def picard(job: Job, record: Record) -> None:
    """All steps of a window at once against one after the other, on the trained model's flow, in wall time."""
    model, steps = loaded(job), job.scaled(4, 64)
    reversal = probability_flow(model.sde, model.denoiser).with_prior(model.prior)
    for batch in job.scaled((1,), (1, 8)):
        spec = PathSpec(0, torch.arange(batch, device=job.device), model.event_shape, reversal.start, reversal.stop)
        x = initial_state(reversal, spec)
        one = FixedGrid(Euler(), steps)
        ends = one(reversal.equation, x, reversal.start, reversal.stop)
        for tol in job.scaled((1e-2,), (1e-1, 1e-2, 1e-3)):
            other = Picard(Euler(), steps, tol=tol)
            found = other.solve(reversal.equation, x, reversal.start, reversal.stop)
            seconds = [
                min(
                    clocked(lambda s=s, x=x: s(reversal.equation, x, reversal.start, reversal.stop), job.device.type)
                    for _ in range(3)
                )
                for s in (one, other)
            ]
            away = (found.x - ends).square().mean().sqrt().item()
            record.row("Picard iteration against sequential steps of Euler's method on the flow",
                       ["samples", "steps", "tolerance", "sweeps", "sequential, s", "Picard, s", "times faster", "distance of the ends"],
                       [str(batch), str(steps), f"{tol:g}", str(found.sweeps), f"{seconds[0]:.3g}", f"{seconds[1]:.3g}",
                        f"{seconds[0] / seconds[1]:.2f}", f"{away:.2g}"])  # fmt: skip


PARTS = (
    Part("training on pictures", training, needs=45, limit=900),
    Part("samples and their distance", samples, limit=60),
    Part("Picard against sequential", picard, limit=20),
)
