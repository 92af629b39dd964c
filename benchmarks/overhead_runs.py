"""The samplers whose overhead is measured: ours, hand-written loops, and the peers that are installed.

Every sampler gets the same initial state and the same model, and is run as its own documentation says: set-up included,
progress bars off, one network call where the method asks for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal import data_form, ddim, probability_flow, reverse_sde
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sde import VP
from solvers import (
    AdamsBashforth,
    Ancestral,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialEuler,
    FixedGrid,
    FreshIncrements,
    Heun,
    KeyedIncrements,
    WienerTree,
    uniform,
)
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

EULER, HEUN, MULTISTEP, NOISE, PATH = "Euler", "Heun", "multistep", "fresh noise", "noise as a path"
LOW, HIGH = 0.002, 80.0


class Half(Denoiser):
    """The model of all samplers, nearly free: E[x_0 | x] = x/2 at every level. It counts its calls."""

    calls = 0

    def __call__(self, x_t: Tensor, *level, **condition) -> Tensor:
        """As other libraries call it too: with a level of their own, or none."""
        return super().__call__(x_t, *(level[:1] or (None,)), **condition)  # pyright: ignore[reportArgumentType]

    def forward(self, x_t: Tensor, *level, **condition) -> Tensor:
        self.calls += 1
        return 0.5 * x_t


class Run(NamedTuple):
    """A sampler: whose, what, of which kind, and the call that takes x_T to x_0."""

    library: str
    name: str
    kind: str
    sample: Callable[[Tensor], Tensor]


def ours(model: Half, steps: int) -> Iterator[Run]:
    sde = VP()
    flow, noisy, data = probability_flow(sde, model), reverse_sde(sde, model), data_form(sde, model)

    def run(name, kind, reversal, method, path=None):
        solver = FixedGrid(method, steps, uniform)

        def sample(x):
            noise = path and path.like(x, 0, reversal.start, reversal.stop)
            return solver(reversal.equation, x, reversal.start, reversal.stop, noise)

        return Run("ours", name, kind, sample)

    yield run("probability_flow, Euler", EULER, flow, Euler())
    yield run("data_form, ExponentialEuler", EULER, data, ExponentialEuler())
    yield run("probability_flow, Heun", HEUN, flow, Heun())
    yield run("data_form, ExponentialAdams(2)", MULTISTEP, data, ExponentialAdams(2))
    yield run("data_form, ExponentialAdams(4)", MULTISTEP, data, ExponentialAdams(4))
    yield run("data_form, PredictEvaluateCorrect(2)", MULTISTEP, data, PredictEvaluateCorrect(2))
    yield run("probability_flow, AdamsBashforth(4)", MULTISTEP, flow, AdamsBashforth(4))
    yield run("probability_flow, AdamsBashforth(5)", MULTISTEP, flow, AdamsBashforth(5))
    chosen, solver = default_solver(sde, model, steps)
    yield Run(
        "ours", "default_solver", MULTISTEP, lambda x: solver(chosen.equation, x, chosen.start, chosen.stop, None)
    )
    yield run("reverse_sde, EulerMaruyama, FreshIncrements", NOISE, noisy, EulerMaruyama(), FreshIncrements)
    yield run("ddim(eta=1), Ancestral, FreshIncrements", NOISE, ddim(sde, model, 1.0), Ancestral(), FreshIncrements)
    yield run("reverse_sde, EulerMaruyama, KeyedIncrements", PATH, noisy, EulerMaruyama(), KeyedIncrements)
    yield run("reverse_sde, EulerMaruyama, WienerTree", PATH, noisy, EulerMaruyama(), WienerTree)


def levels(steps: int) -> list[float]:
    """Noise levels of EDM, as Python floats."""
    root = [HIGH ** (1 / 7) + i / steps * (LOW ** (1 / 7) - HIGH ** (1 / 7)) for i in range(steps + 1)]
    return [r**7 for r in root]


def by_hand(model: Half, steps: int) -> Iterator[Run]:
    """The shortest loops that do the same: coefficients as floats, as few operations as the formula allows."""
    sigmas = levels(steps)

    def euler(x):
        for t, s in pairwise(sigmas):
            x = torch.lerp(x, model(x), 1 - s / t)
        return x

    def heun(x):
        for t, s in pairwise(sigmas):
            first = model(x)
            second = model(torch.lerp(x, first, 1 - s / t))
            h = s - t
            x = (x * (1 + h / t)).add_(first, alpha=-h / t).add_(second - first, alpha=-h / (2 * s))
        return x

    def two_m(x):
        before, last = None, 1.0
        for t, s in pairwise(sigmas):
            now, h = model(x), math.log(t / s)
            x = (x * (s / t)).add_(now, alpha=1 - s / t)
            if before is not None:
                x.add_(now - before, alpha=(1 - s / t) / 2 * h / last)
            before, last = now, h
        return x

    def euler_maruyama(x):
        for t, s in pairwise(sigmas):
            w = 2 * (1 - s / t)
            x = torch.lerp(x, model(x), w).add_(torch.randn_like(x), alpha=math.sqrt(t**2 - s**2))
        return x

    yield Run("hand-written", "Euler", EULER, euler)
    yield Run("hand-written", "Heun", HEUN, heun)
    yield Run("hand-written", "DPM-Solver++(2M)", MULTISTEP, two_m)
    yield Run("hand-written", "Euler-Maruyama", NOISE, euler_maruyama)


def k_diffusion(model: Half, steps: int) -> Iterator[Run]:
    from k_diffusion import sampling

    def run(name, kind, function):
        def sample(x):
            return function(model, x, sampling.get_sigmas_karras(steps, LOW, HIGH, device=x.device), disable=True)

        return Run("k-diffusion", name, kind, sample)

    yield run("sample_euler", EULER, sampling.sample_euler)
    yield run("sample_heun", HEUN, sampling.sample_heun)
    yield run("sample_dpmpp_2m", MULTISTEP, sampling.sample_dpmpp_2m)
    yield run("sample_lms", MULTISTEP, sampling.sample_lms)
    yield run("sample_euler_ancestral", NOISE, sampling.sample_euler_ancestral)
    yield run("sample_dpmpp_2m_sde", PATH, sampling.sample_dpmpp_2m_sde)


def diffusers(model: Half, steps: int) -> Iterator[Run]:
    import diffusers

    def run(name, kind, prediction_type="sample", **options):
        scheduler = getattr(diffusers, name)(prediction_type=prediction_type, **options)

        def sample(x):
            scheduler.set_timesteps(steps)
            for t in scheduler.timesteps:
                answer = model(scheduler.scale_model_input(x, t), t)
                x = scheduler.step(answer, t, x, return_dict=False)[0]
            return x

        return Run("diffusers", name.removesuffix("Scheduler"), kind, sample)

    yield run("EulerDiscreteScheduler", EULER)
    yield run("DDIMScheduler", EULER, clip_sample=False)
    yield run("HeunDiscreteScheduler", HEUN)
    yield run("DPMSolverMultistepScheduler", MULTISTEP)
    yield run("UniPCMultistepScheduler", MULTISTEP)
    yield run("LMSDiscreteScheduler", MULTISTEP)
    yield run("EulerAncestralDiscreteScheduler", NOISE, "epsilon")
    yield run("DDPMScheduler", NOISE, clip_sample=False)
    yield run("DPMSolverSDEScheduler", PATH, "epsilon")


def azula(model: Half, steps: int) -> Iterator[Run]:
    from azula import denoise, noise
    from azula import sample as samplers

    class Wrapped(denoise.Denoiser):
        schedule = noise.VPSchedule()

        def forward(self, x_t, t, **condition):
            return denoise.DiracPosterior(mean=model(x_t))

    def run(name, kind, **options):
        return Run("azula", name, kind, getattr(samplers, name)(Wrapped(), steps=steps, silent=True, **options))

    yield run("EulerSampler", EULER)
    yield run("HeunSampler", HEUN)
    yield run("xEABSampler", MULTISTEP)
    yield run("vABSampler", MULTISTEP)
    yield run("ItoSampler", NOISE)


def torchsde(model: Half, steps: int) -> Iterator[Run]:
    """torchsde at its best: float64 times, the length of the step given in advance."""
    import torchsde

    class Reverse:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, tau, x):
            return torch.lerp(x, model(x), 2.0).sub_(x)

        def g(self, tau, x):
            return torch.full_like(x, math.sqrt(2 * math.exp(-2 * float(tau))))

    def run(method, area):
        def sample(x):
            noise = torchsde.BrownianInterval(
                0.0, 5.0, x.shape, x.dtype, x.device, entropy=0, dt=5.0 / steps, levy_area_approximation=area
            )
            times = torch.tensor([0.0, 5.0], dtype=torch.float64)
            return torchsde.sdeint(Reverse(), x, times, bm=noise, method=method, dt=5.0 / steps)[-1]

        return Run("torchsde", f"sdeint {method}", PATH, sample)

    yield run("euler", "none")
    yield run("srk", "space-time")


SOURCES = {"ours": ours, "hand-written": by_hand}
PEERS = {"k-diffusion": k_diffusion, "diffusers": diffusers, "azula": azula, "torchsde": torchsde}
