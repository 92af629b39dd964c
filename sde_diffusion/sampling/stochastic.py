r"""Named stochastic samplers: solvers of the reverse SDE, Markov chains and Langevin dynamics. Each returns a `Sampler`.

Most solve Anderson's reverse SDE (Anderson 1982; Song et al. 2021, equation (6)). With kappa = sigma/alpha,
lambda = log kappa, y = x/alpha and D = E[x_0 | x_t] its data form is, lambda running downwards,

    dy = (1 + eta^2)(y - D) dlambda + sqrt(2) eta kappa dW,

eta = 1 for Anderson's equation, 0 for the probability-flow ODE. The distribution of x_t is that of the process for every eta.
"Cost" is denoiser calls a step; all but `default_sde` make one more at the end, the last denoising step E[x_0 | x] at t_min.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sde_diffusion.reversal.ancestral import ancestral
from sde_diffusion.reversal.ancestral import ddim as ddim_chain
from sde_diffusion.reversal.annealed_langevin import annealed_langevin as langevin_equation
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.data_form import data_form
from sde_diffusion.reversal.data_form_eta import band, data_form_eta
from sde_diffusion.reversal.edm_churn import edm_churn
from sde_diffusion.reversal.predictor_corrector import predictor_corrector as corrected
from sde_diffusion.reversal.reverse_sde import reverse_sde
from sde_diffusion.sampling.budget import Calls, Tol
from sde_diffusion.sampling.default_sde import default_stochastic_solver, tolerant_stochastic_solver
from sde_diffusion.sampling.deterministic import ddim0
from sde_diffusion.sampling.sampler import FormSampler, RuleSampler
from sde_diffusion.sampling.spacings import karras, log_snr
from solvers.adaptive_sde import AdaptiveSDE
from solvers.methods.ancestral import Ancestral
from solvers.methods.churn import Churn
from solvers.methods.euler_maruyama import EulerMaruyama
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.methods.predictor_corrector import PredictorCorrector
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams
from solvers.methods.stochastic_exponential_runge_kutta import StochasticExponentialRungeKutta
from solvers.methods.stochastic_heun import StochasticHeun

CALLS = Calls(200)


def default_sde() -> RuleSampler:
    """The default with noise: a predictor-corrector of 3 fields on the reverse SDE (`default_sde`). Weak order 2, 1 call a step.

    With tol: stochastic Heun with Euler-Maruyama inside. Other names: none.
    """
    return RuleSampler("default_sde", default_stochastic_solver, tolerant_stochastic_solver, CALLS)


def edm_stochastic(churn: float = 40.0) -> FormSampler:
    """EDM's stochastic sampler: raise the noise level a little, then a Heun step of the ODE. Weak order 2, 2 calls a step.

    `churn` is the paper's S_churn; S_min = 0, S_max = infinity and S_noise = 1.

    References:
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, algorithm 2
    Other names: k-diffusion sample_heun(s_churn=...); diffusers KarrasVeScheduler(s_churn=...).
    """
    label = "edm_stochastic" if churn == 40.0 else f"edm_stochastic(churn={churn:g})"
    return FormSampler(label, edm_churn, Churn(churn), karras(), CALLS)


def euler_maruyama(eta: float = 1.0) -> FormSampler:
    """Euler-Maruyama on the reverse SDE in x and the process's time. Weak order 1, 1 call a step. tol is possible.

    References:
        Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
            https://arxiv.org/abs/2011.13456, equation (6) and appendix D
    Other names: score_sde EulerMaruyamaPredictor; diffusers ScoreSdeVpScheduler.
    """
    label, form = _with_eta("euler_maruyama", reverse_sde, eta)
    return FormSampler(label, form, EulerMaruyama(), log_snr(), CALLS, AdaptiveSDE.tol)


def ddpm() -> FormSampler:
    """DDPM's ancestral sampler: x_s from the posterior q(x_s | x_t, x_0 = D), on any grid. Weak order 1, 1 call a step.

    On y = x/alpha it is Euler's ancestral step of k-diffusion, number for number.

    References:
        Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, algorithm 2
    Other names: diffusers DDPMScheduler, EulerAncestralDiscreteScheduler; k-diffusion sample_euler_ancestral;
    A1111 "Euler a"; ComfyUI ddpm, euler_ancestral; azula DDPMSampler.
    """
    return FormSampler("ddpm", ancestral, Ancestral(), log_snr(), CALLS)


def ddim(eta: float = 0.0) -> FormSampler:
    """DDIM: deterministic for eta = 0, DDPM for eta = 1, between them for 0 < eta < 1. Order 1, 1 call a step.

    For eta = 0 it is exponential Euler on the data form of the ODE, DPM-Solver-1 and DPM-Solver++(1).

    References:
        Song, Meng & Ermon, Denoising Diffusion Implicit Models, 2021, https://arxiv.org/abs/2010.02502, equation (12)
    Other names: diffusers DDIMScheduler; A1111 "DDIM"; ComfyUI ddim; azula DDIMSampler.

    Raises:
        ValueError: eta outside [0, 1].
    """
    if eta == 0:
        return ddim0()
    if not 0 < eta <= 1:
        raise ValueError(f"DDIM takes eta between 0 and 1, got {eta}; for more noise take dpmpp_2m_sde(eta={eta})")
    return FormSampler(f"ddim(eta={eta:g})", partial(ddim_chain, eta=eta), Ancestral(), log_snr(), CALLS)


def dpmpp_2m_sde(eta: float = 1.0) -> FormSampler:
    """SDE-DPM-Solver++(2M): exponential Adams of 2 fields and exact noise on the data form. Weak order 2, 1 call a step.

    References:
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095, section 4.4
    Other names: diffusers DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++"); k-diffusion sample_dpmpp_2m_sde;
    A1111 "DPM++ 2M SDE"; ComfyUI dpmpp_2m_sde.
    """
    label, form = _with_eta("dpmpp_2m_sde", data_form, eta)
    return FormSampler(label, form, StochasticExponentialAdams(2), log_snr(), CALLS)


def dpmpp_3m_sde(eta: float = 1.0) -> FormSampler:
    """SDE-DPM-Solver++(3M): the same with 3 fields. Weak order 2, 1 call a step.

    References:
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095, section 4.4
    Other names: k-diffusion sample_dpmpp_3m_sde; A1111 "DPM++ 3M SDE"; ComfyUI dpmpp_3m_sde.
    """
    label, form = _with_eta("dpmpp_3m_sde", data_form, eta)
    return FormSampler(label, form, StochasticExponentialAdams(3), log_snr(), CALLS)


def sa_solver(k: int = 2, eta: float = 1.0) -> FormSampler:
    """SA-Solver: predictor of k fields and corrector, noise for 0.05 < kappa < 50 only. Weak order 2, 1 call a step.

    References:
        Xue et al., SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models, 2023,
            https://arxiv.org/abs/2309.05019
    Other names: diffusers SASolverScheduler; ComfyUI sa_solver.
    """
    label = "sa_solver" if (k, eta) == (2, 1.0) else f"sa_solver(k={k}, eta={eta:g})"
    return FormSampler(label, partial(data_form_in_band, eta=eta), PredictEvaluateCorrect(k), log_snr(), CALLS)


def seeds(eta: float = 1.0) -> FormSampler:
    """SEEDS-2: stochastic exponential midpoint rule on the data form. Weak order 2, 2 calls a step.

    References:
        Gonzalez et al., SEEDS: Exponential SDE Solvers for Fast High-Quality Sampling from Diffusion Models, 2023,
            https://arxiv.org/abs/2305.14267
    Other names: ComfyUI seeds_2; k-diffusion sample_dpmpp_sde and A1111 "DPM++ SDE" (the same stages).
    """
    label, form = _with_eta("seeds", data_form, eta)
    return FormSampler(label, form, StochasticExponentialRungeKutta(), log_snr(), CALLS)


def annealed_langevin(relaxations: float = 5.0) -> FormSampler:
    """Annealed Langevin dynamics: C = `relaxations` relaxation times on each e-fold of the noise level. 1 call a step.

    dy = C (y - D) dlambda + sqrt(2 C) kappa dW. It lags behind the falling noise level: for Gaussian data the variance ends
    a factor C/(C - 1) too large, and steps of h = |dlambda| make it larger again. Take `default_sde` where there is a choice.

    References:
        Song & Ermon, Generative Modeling by Estimating Gradients of the Data Distribution, 2019,
            https://arxiv.org/abs/1907.05600, algorithm 1
    Other names: score_sde's LangevinCorrector without a predictor; NCSN.
    """
    label = "annealed_langevin" if relaxations == 5.0 else f"annealed_langevin(relaxations={relaxations:g})"
    form = partial(langevin_equation, relaxations=relaxations)
    return FormSampler(label, form, EulerMaruyama(), log_snr(), Calls(300))


def predictor_corrector(snr: float = 0.16, corrections: int = 1) -> FormSampler:
    """Euler-Maruyama steps of the reverse SDE, each followed by Langevin steps. 1 + `corrections` calls a step.

    References:
        Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
            https://arxiv.org/abs/2011.13456, algorithm 1 and appendix G
    Other names: score_sde "pc"; diffusers ScoreSdeVeScheduler; azula PCSampler.
    """
    usual = (snr, corrections) == (0.16, 1)
    label = "predictor_corrector" if usual else f"predictor_corrector(snr={snr:g}, corrections={corrections})"
    method = PredictorCorrector(EulerMaruyama(), snr, corrections)
    return FormSampler(label, corrected_reverse_sde, method, log_snr(), CALLS)


def adaptive_sde() -> FormSampler:
    """Stochastic Heun with Euler-Maruyama inside on the reverse SDE, to a tolerance. Weak order 2, 2 calls a step.

    Every sample takes steps of its own on its own Brownian path.

    References:
        Jolicoeur-Martineau et al., Gotta Go Fast When Generating Data with Score-Based Models, 2021,
            https://arxiv.org/abs/2105.14080 (the idea; a rejected step keeps its path here)
    Other names: none that keeps the path.
    """
    return FormSampler("adaptive_sde", reverse_sde, StochasticHeun(), log_snr(), Tol(1e-2), AdaptiveSDE.tol)


def data_form_in_band(sde: Any, denoiser: Any, eta: float) -> Reversal:
    """The data form with noise for 0.05 < kappa < 50, the probability-flow ODE outside."""
    return data_form_eta(sde, denoiser, band(eta))


def corrected_reverse_sde(sde: Any, denoiser: Any) -> Reversal:
    """The reverse SDE as the transport of a predictor-corrector."""
    return corrected(reverse_sde(sde, denoiser), sde, denoiser)


def _with_eta(name: str, form: Any, eta: float) -> tuple[str, Any]:
    """The label and the form at a stochasticity, which the label names where it is not 1."""
    return (name if eta == 1.0 else f"{name}(eta={eta:g})"), partial(form, eta=eta)
