"""Reverse-time equations and their clocks, one idea a file."""

from sde_diffusion.reversal.ancestral import ancestral, ancestral_large, ddim
from sde_diffusion.reversal.annealed_langevin import annealed_langevin
from sde_diffusion.reversal.base import Clock, Reversal, in_log_snr
from sde_diffusion.reversal.bridge_flow import bridge_flow, bridge_sde
from sde_diffusion.reversal.data_form import data_form
from sde_diffusion.reversal.data_form_eta import band, data_form_eta
from sde_diffusion.reversal.edm_churn import edm_churn
from sde_diffusion.reversal.gaussian_form import gaussian_form
from sde_diffusion.reversal.half_bridge import half_bridge
from sde_diffusion.reversal.noise_form import noise_form
from sde_diffusion.reversal.predictor_corrector import predictor_corrector
from sde_diffusion.reversal.probability_flow import probability_flow
from sde_diffusion.reversal.reverse_sde import reverse_sde
from sde_diffusion.reversal.sigma_form import sigma_form
from sde_diffusion.reversal.velocity_form import velocity_form

__all__ = [
    "Clock",
    "Reversal",
    "ancestral",
    "ancestral_large",
    "annealed_langevin",
    "band",
    "bridge_flow",
    "bridge_sde",
    "data_form",
    "data_form_eta",
    "ddim",
    "edm_churn",
    "gaussian_form",
    "half_bridge",
    "in_log_snr",
    "noise_form",
    "predictor_corrector",
    "probability_flow",
    "reverse_sde",
    "sigma_form",
    "velocity_form",
]
