"""Samplers by their names, `sde_diffusion.samplers` in the facade.

    from sde_diffusion import samplers
    samplers.dpmpp_2m().build(sde, denoiser, nfe=20)
    samplers.parse("DPM++ 2M Karras")            # names of other libraries, and the command line's words

| name | equation | method | calls a step | order |
|---|---|---|---|---|
| default | ODE | fitted rule: Adams predictor-corrector | 1 | 3 to 6 |
| euler, ddim | ODE | Euler, exponential Euler | 1 | 1 |
| heun, edm | ODE | Heun | 2 | 2 |
| dpm_solver_2, dpmpp_2s | ODE | exponential midpoint | 2 | 2 |
| dpm_solver_3 | ODE | exponential Runge-Kutta | 3 | 3 |
| dpmpp_2m, dpmpp_3m, deis | ODE | exponential Adams | 1 | 2, 3, 3 |
| unipc | ODE | exponential Adams predictor-corrector | 1 | 3 |
| lms, ipndm, ab4 | ODE | Adams-Bashforth | 1 | 4 |
| adaptive_ode | ODE | Dormand-Prince, to a tolerance | 6 | 5 |
| default_sde | SDE | fitted rule: predictor-corrector | 1 | 2 |
| euler_maruyama | SDE | Euler-Maruyama | 1 | 1 |
| ddpm, ddim(eta) | Markov chain | ancestral | 1 | 1 |
| dpmpp_2m_sde, dpmpp_3m_sde | SDE | stochastic exponential Adams | 1 | 2 |
| sa_solver | SDE | stochastic exponential predictor-corrector | 1 | 2 |
| seeds | SDE | stochastic exponential midpoint | 2 | 2 |
| edm_stochastic | ODE with renewed noise | Heun | 2 | 2 |
| predictor_corrector | SDE and Langevin | Euler-Maruyama | 2 | - |
| annealed_langevin | Langevin | Euler-Maruyama | 1 | - |
| adaptive_sde | SDE | stochastic Heun, to a tolerance | 2 | 2 |

Multistep methods of order above 3 start at order 2 or 3. Orders of stochastic methods are those of expectations (weak).
"""

from __future__ import annotations

from collections.abc import Callable

from sde_diffusion.sampling.deterministic import (
    ab4,
    adaptive_ode,
    default,
    deis,
    dpm_solver_2,
    dpm_solver_3,
    dpmpp_2m,
    dpmpp_2s,
    dpmpp_3m,
    edm,
    euler,
    heun,
    ipndm,
    lms,
    unipc,
)
from sde_diffusion.sampling.sampler import FormSampler, Sampler
from sde_diffusion.sampling.stochastic import (
    adaptive_sde,
    annealed_langevin,
    ddim,
    ddpm,
    default_sde,
    dpmpp_2m_sde,
    dpmpp_3m_sde,
    edm_stochastic,
    euler_maruyama,
    predictor_corrector,
    sa_solver,
    seeds,
)

__all__ = [
    "FormSampler",
    "Sampler",
    "ab4",
    "adaptive_ode",
    "adaptive_sde",
    "annealed_langevin",
    "ddim",
    "ddpm",
    "default",
    "default_sde",
    "deis",
    "dpm_solver_2",
    "dpm_solver_3",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_2s",
    "dpmpp_3m",
    "dpmpp_3m_sde",
    "edm",
    "edm_stochastic",
    "euler",
    "euler_maruyama",
    "heun",
    "ipndm",
    "lms",
    "names",
    "parse",
    "predictor_corrector",
    "sa_solver",
    "seeds",
    "unipc",
]

SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "default": default,
    "default_sde": default_sde,
    "euler": euler,
    "heun": heun,
    "edm": edm,
    "edm_stochastic": edm_stochastic,
    "euler_maruyama": euler_maruyama,
    "ddpm": ddpm,
    "ddim": ddim,
    "dpm_solver_2": dpm_solver_2,
    "dpm_solver_3": dpm_solver_3,
    "dpmpp_2s": dpmpp_2s,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_3m": dpmpp_3m,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "dpmpp_3m_sde": dpmpp_3m_sde,
    "deis": deis,
    "unipc": unipc,
    "ipndm": ipndm,
    "lms": lms,
    "ab4": ab4,
    "sa_solver": sa_solver,
    "seeds": seeds,
    "annealed_langevin": annealed_langevin,
    "predictor_corrector": predictor_corrector,
    "adaptive_ode": adaptive_ode,
    "adaptive_sde": adaptive_sde,
}
"""The functions by name; each makes a sampler without arguments."""


def names() -> list[str]:
    """The names of all samplers."""
    return list(SAMPLERS)


def parse(text: str) -> Sampler:
    """The sampler that a text names: `dpmpp_2m`, `ddim(eta=0.5)/50`, `DPM++ 2M Karras`, `heun/nfe=20/karras`, `solver.json`.

    Words after the name, in any order and separated by `/`: a number of steps, `nfe=20` or `tol=1e-4`, and a time grid. In
    the place of a name an equation and a method: `data_form(eta=0.5)/exponential_euler/50/log_snr`. `sampling.grammar` has it
    in full.

    Raises:
        ValueError: an unknown name, with the nearest known one, or words that do not fit.
        FileNotFoundError: a name that ends in `.json` and no such file.
    """
    from sde_diffusion.sampling.grammar import parse as read

    return read(text)
