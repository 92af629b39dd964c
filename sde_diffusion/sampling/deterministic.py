r"""Named deterministic samplers: solvers of the probability-flow ODE. Each function returns a `Sampler`.

All solve the same ODE (Song et al. 2021, equation (13)); they differ in the variables, the method and the time grid. With
kappa = sigma/alpha, D the denoiser's answer E[x_0 | x_t] and eps = (x - alpha D)/sigma:

    sigma form      y = x/alpha              dy/dkappa = eps
    velocity form   y = x/(alpha + sigma)    dy/du = eps - D,         u = sigma/(alpha + sigma)
    data form       y = x/alpha              dy/dlambda = y - D,      lambda = log kappa
    noise form      y = x/sigma              dy/dlambda = -y + eps

"Cost" is denoiser calls a step; every sampler here makes one call more at its end, the last denoising step E[x_0 | x] at
t_min, except `default` and those that are built with `reversal.without_final_denoise()`.
"""

from __future__ import annotations

from functools import partial

from sde_diffusion.reversal.data_form import data_form
from sde_diffusion.reversal.noise_form import noise_form
from sde_diffusion.reversal.sigma_form import sigma_form
from sde_diffusion.reversal.velocity_form import velocity_form
from sde_diffusion.sampling.budget import Calls, Tol
from sde_diffusion.sampling.default_ode import default_solver, tolerant_solver
from sde_diffusion.sampling.sampler import FormSampler, RuleSampler
from sde_diffusion.sampling.spacings import karras, log_snr
from solvers.adaptive import Adaptive
from solvers.methods.adams_bashforth import AdamsBashforth
from solvers.methods.dopri5 import Dopri5
from solvers.methods.euler import Euler
from solvers.methods.exponential_adams import ExponentialAdams
from solvers.methods.exponential_euler import ExponentialEuler
from solvers.methods.exponential_runge_kutta import ExponentialRungeKutta
from solvers.methods.heun import Heun
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

CALLS, FIRST_ORDER_CALLS = Calls(20), Calls(200)


def default() -> RuleSampler:
    """The default: an Adams predictor-corrector on a fitted time grid, chosen by the number of calls (`default_ode`).

    Order 3 to 6 by the number of calls, 1 call a step. With tol: Dormand-Prince in the same variables.
    Take it unless you want a particular method. Other names: none.
    """
    return RuleSampler("default", default_solver, tolerant_solver)


def euler() -> FormSampler:
    """Euler's method on the sigma form, equal steps of log(sigma/alpha). Order 1, 1 call a step.

    On the same grid its samples are those of `ddim()`.

    References:
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, algorithm 1 without the correction
    Other names: diffusers EulerDiscreteScheduler; k-diffusion sample_euler; A1111 "Euler"; ComfyUI euler.
    """
    return FormSampler("euler", sigma_form, Euler(), log_snr(), FIRST_ORDER_CALLS)


def heun() -> FormSampler:
    """Heun's method on the sigma form, equal steps of log(sigma/alpha). Order 2, 2 calls a step.

    References:
        Karras et al. 2022, https://arxiv.org/abs/2206.00364, algorithm 1, on another grid than `edm`
    Other names: diffusers HeunDiscreteScheduler; k-diffusion sample_heun; A1111 "Heun"; ComfyUI heun.
    """
    return FormSampler("heun", sigma_form, Heun(), log_snr(), CALLS)


def edm() -> FormSampler:
    """EDM's deterministic sampler: Heun's method on the sigma form and the Karras grid. Order 2, 2 calls a step.

    References:
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, algorithm 1 and equation (5), rho = 7
    Other names: diffusers KarrasVeScheduler; k-diffusion sample_heun with get_sigmas_karras; A1111 "Heun" with the Karras
    schedule; azula HeunSampler.
    """
    return FormSampler("edm", sigma_form, Heun(), karras(), CALLS)


def ddim0() -> FormSampler:
    """DDIM with eta = 0; see `ddim`."""
    return FormSampler("ddim", data_form, ExponentialEuler(), log_snr(), FIRST_ORDER_CALLS)


def dpm_solver_2() -> FormSampler:
    """DPM-Solver-2 (singlestep): exponential midpoint rule on the noise form. Order 2, 2 calls a step.

    References:
        Lu et al., DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling, 2022,
            https://arxiv.org/abs/2206.00927, algorithm 1
    Other names: diffusers DPMSolverSinglestepScheduler(algorithm_type="dpmsolver", solver_order=2); k-diffusion sample_dpm_2
    (the same order in other variables); A1111 "DPM2"; ComfyUI dpm_2.
    """
    return FormSampler("dpm_solver_2", noise_form, ExponentialRungeKutta(2), log_snr(), CALLS)


def dpm_solver_3() -> FormSampler:
    """DPM-Solver-3 (singlestep): exponential Runge-Kutta of order 3 on the noise form. Order 3, 3 calls a step.

    References:
        Lu et al., DPM-Solver, 2022, https://arxiv.org/abs/2206.00927, algorithm 2
    Other names: diffusers DPMSolverSinglestepScheduler(algorithm_type="dpmsolver", solver_order=3); k-diffusion
    sample_dpm_fast; A1111 "DPM fast".
    """
    return FormSampler("dpm_solver_3", noise_form, ExponentialRungeKutta(3), log_snr(), CALLS)


def dpmpp_2s() -> FormSampler:
    """DPM-Solver++(2S) (singlestep): exponential midpoint rule on the data form. Order 2, 2 calls a step.

    References:
        Lu et al., DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models, 2022,
            https://arxiv.org/abs/2211.01095, algorithm 1
    Other names: diffusers DPMSolverSinglestepScheduler; k-diffusion sample_dpmpp_2s_ancestral with eta = 0.
    """
    return FormSampler("dpmpp_2s", data_form, ExponentialRungeKutta(2), log_snr(), CALLS)


def dpmpp_2m() -> FormSampler:
    """DPM-Solver++(2M): exponential Adams of 2 fields on the data form. Order 2, 1 call a step.

    The integrals of the interpolating line are exact (diffusers' solver_type="heun"); the paper takes the line's midpoint.

    References:
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095, algorithm 2
    Other names: diffusers DPMSolverMultistepScheduler; k-diffusion sample_dpmpp_2m; A1111 "DPM++ 2M"; ComfyUI dpmpp_2m.
    """
    return FormSampler("dpmpp_2m", data_form, ExponentialAdams(2), log_snr(), CALLS)


def dpmpp_3m() -> FormSampler:
    """DPM-Solver++(3M): exponential Adams of 3 fields on the data form. Order 3 after a start of order 2, 1 call a step.

    References:
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095, appendix B
    Other names: diffusers DPMSolverMultistepScheduler(solver_order=3).
    """
    return FormSampler("dpmpp_3m", data_form, ExponentialAdams(3), log_snr(), CALLS)


def deis(k: int = 3) -> FormSampler:
    """DEIS (tAB): exponential Adams of k fields on the noise form. Order k after a start of order 2, 1 call a step.

    References:
        Zhang & Chen, Fast Sampling of Diffusion Models with Exponential Integrator, 2022,
            https://arxiv.org/abs/2204.13902, section 3.2
    Other names: diffusers DEISMultistepScheduler; ComfyUI deis; A1111 "DEIS".
    """
    return FormSampler(_named("deis", 3, k=k), noise_form, ExponentialAdams(k), log_snr(), CALLS)


def unipc(k: int = 2) -> FormSampler:
    """UniPC: predictor of k fields and corrector on the data form. Order k + 1, at most 3 at the start, 1 call a step.

    References:
        Zhao et al., UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models, 2023,
            https://arxiv.org/abs/2302.04867
    Other names: diffusers UniPCMultistepScheduler; ComfyUI uni_pc; A1111 "UniPC".
    """
    return FormSampler(_named("unipc", 2, k=k), data_form, PredictEvaluateCorrect(k), log_snr(), CALLS)


def ipndm() -> FormSampler:
    """iPNDM: Adams-Bashforth of 4 fields on the sigma form, with the weights of the grid at hand. 1 call a step.

    The published weights are those of equal steps, which leaves order 1 on any other grid. With the grid's own weights the
    order is 4 after a start of order 2.

    References:
        Zhang & Chen 2022, https://arxiv.org/abs/2204.13902, appendix (iPNDM)
        Liu et al., Pseudo Numerical Methods for Diffusion Models on Manifolds, 2022, https://arxiv.org/abs/2202.09778
    Other names: diffusers IPNDMScheduler; ComfyUI ipndm_v.
    """
    return FormSampler("ipndm", sigma_form, AdamsBashforth(4), log_snr(), CALLS)


def lms() -> FormSampler:
    """Linear multistep: Adams-Bashforth of 4 fields on the sigma form and the Karras grid. 1 call a step.

    Order 4 after a start of order 2.

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.5
    Other names: diffusers LMSDiscreteScheduler; k-diffusion sample_lms; A1111 "LMS Karras"; ComfyUI lms.
    """
    return FormSampler("lms", sigma_form, AdamsBashforth(4), karras(), CALLS)


def ab4() -> FormSampler:
    """Adams-Bashforth of 4 fields on the velocity form, the flow of flow matching. 1 call a step.

    Order 4 after a start of order 2.

    References:
        Liu et al., Flow Straight and Fast, 2022, https://arxiv.org/abs/2209.03003 (the equation)
    Other names: azula ABSampler(order=4).
    """
    return FormSampler("ab4", velocity_form, AdamsBashforth(4), log_snr(), CALLS)


def adaptive_ode() -> FormSampler:
    """Dormand-Prince 5(4) on the velocity form, to a tolerance: every sample takes steps of its own. Order 5, 6 calls a step.

    References:
        Dormand & Prince, A family of embedded Runge-Kutta formulae, 1980, https://doi.org/10.1016/0771-050X(80)90013-3
        Song et al. 2021, https://arxiv.org/abs/2011.13456, section 4.3
    Other names: score_sde "ode" (RK45); scipy RK45; torchdiffeq dopri5.
    """
    return FormSampler("adaptive_ode", velocity_form, Dopri5(), log_snr(), Tol(1e-4), partial(Adaptive.tol, Dopri5()))


def _named(name: str, usual: int, **argument: int) -> str:
    """The name with its argument, where this is not the usual one."""
    ((key, value),) = argument.items()
    return name if value == usual else f"{name}({key}={value:g})"
