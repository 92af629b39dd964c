"""Names that people type, and the sampler that each of them means here: a table, without any import of torch.

Names of diffusers (classes), k-diffusion (functions), A1111 and ComfyUI (menus), azula, and our own earlier names. They are
compared without case, spaces and punctuation: `DPM++ 2M Karras`, `dpmpp-2m-karras` and `dpmpp_2m_karras` are one name.
"""

from __future__ import annotations

import re

ALIASES = {
    "k_euler": "euler",
    "flow_euler": "euler",
    "eulerdiscrete": "euler",
    "edmeuler": "euler",
    "flowmatcheulerdiscrete": "euler",
    "euler_a": "ddpm",
    "euler_ancestral": "ddpm",
    "k_euler_a": "ddpm",
    "k_euler_ancestral": "ddpm",
    "eulerancestraldiscrete": "ddpm",
    "ancestral": "ddpm",
    "k_heun": "heun",
    "heundiscrete": "heun",
    "flowmatchheundiscrete": "heun",
    "flow_heun": "heun",
    "karrasve": "edm_stochastic",
    "edm_heun": "edm",
    "em": "euler_maruyama",
    "sde": "euler_maruyama",
    "reverse_sde": "euler_maruyama",
    "scoresdevp": "euler_maruyama",
    "ode": "adaptive_ode",
    "rk45": "adaptive_ode",
    "dopri5": "adaptive_ode",
    "dpm_adaptive": "adaptive_ode",
    "pc": "predictor_corrector",
    "scoresdeve": "predictor_corrector",
    "langevin": "annealed_langevin",
    "ncsn": "annealed_langevin",
    "dpm2": "dpm_solver_2",
    "dpm_2": "dpm_solver_2",
    "k_dpm_2": "dpm_solver_2",
    "kdpm2discrete": "dpm_solver_2",
    "dpm_fast": "dpm_solver_3",
    "dpm_solver": "dpm_solver_3",
    "dpm_solver_1": "ddim",
    "dpmpp_1": "ddim",
    "dpm_solver_pp_1": "ddim",
    "dpm_solver_pp_2": "dpmpp_2m",
    "dpm_solver_pp_3": "dpmpp_3m",
    "dpm_solver_pp": "dpmpp_2m",
    "dpmpp": "dpmpp_2m",
    "k_dpmpp_2m": "dpmpp_2m",
    "dpmsolvermultistep": "dpmpp_2m",
    "edmdpmsolvermultistep": "dpmpp_2m/karras",
    "data_adams": "dpmpp_2m",
    "dpmsolversinglestep": "dpmpp_2s",
    "dpmpp_sde": "seeds",
    "dpmsolversde": "seeds",
    "seeds_2": "seeds",
    "sde_dpm_solver_pp": "dpmpp_2m_sde",
    "sde_dpm_solver_pp_2m": "dpmpp_2m_sde",
    "deismultistep": "deis",
    "uni_pc": "unipc",
    "uni_pc_bh2": "unipc",
    "unipcmultistep": "unipc",
    "ipndm_v": "ipndm",
    "lmsdiscrete": "lms",
    "linear_multistep": "lms",
    "ab": "ab4",
    "flow_adams": "ab4",
    "sasolver": "sa_solver",
    "unipc_2": "unipc",
}
"""A name in another library, as `normalised` writes it without `sample_`, `Scheduler` and `Sampler`: the sampler here."""

OTHERS = {
    "plms": "its formula has order one on an uneven grid; take ipndm, the same fields with the grid's own weights",
    "pndm": "its formula has order one on an uneven grid; take ipndm, the same fields with the grid's own weights",
    "euler_a_cfg_pp": "it belongs to guidance; take ddpm",
    "lcm": "it needs a distilled model; take default",
    "tcd": "it needs a distilled model; take default",
    "restart": "it is not made here; take edm_stochastic, which also adds noise again",
    "dpm2_a": "it is not made here; take seeds, of the same cost and order two with noise",
    "dpm_2_ancestral": "it is not made here; take seeds, of the same cost and order two with noise",
    "kdpm2ancestraldiscrete": "it is not made here; take seeds, of the same cost and order two with noise",
    "dpmpp_2s_a": "it is not made here; take seeds, of the same cost and order two with noise",
    "dpmpp_2s_ancestral": "it is not made here; take seeds, of the same cost and order two with noise",
    "dopri8": "it is not made here; take adaptive_ode",
}
"""A name in another library that no sampler here stands for, and what to take."""

SUFFIXES = {"karras": "karras", "exponential": "log_snr", "log_snr": "log_snr", "uniform": "time", "cosine": "cosine"}
"""A schedule as the last word of a name, and the grid that it means here."""


def normalised(name: str) -> str:
    """`DPM++ 2M Karras` -> `dpmpp_2m_karras`; `sample_heun` -> `heun`; `DDIMScheduler` -> `ddim`."""
    words = re.sub(r"[\s\-_.]+", "_", name.strip().lower().replace("++", "pp")).strip("_")
    words = re.sub(r"^sample_", "", words)
    return re.sub(r"_?(scheduler|sampler)$", "", words) or words
