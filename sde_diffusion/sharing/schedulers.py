"""What the configuration of a diffusers scheduler says of the network beside it: the process, the output, the timestep.

| family | process | output | timestep |
|---|---|---|---|
| a chain: DDPM, DDIM, PNDM, DPM-Solver, UniPC, Heun, Euler, ... | `DDPM` of its betas | eps, x_0 or v | the step |
| EDM | `EDM(sigma_max, sigma_min)` | EDM's preconditioning of `sigma_data` | log(sigma)/4 |
| flow matching | `Rectified()` | eps - x_0, from x_t = (1 - t) x_0 + t eps itself | N t |

Their ways of sampling are not used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from sde_diffusion.io.plain import check_numbers
from sde_diffusion.networks.foreign import DiffusersBackbone, FlowBackbone, LogTimestep, ShareTimestep
from sde_diffusion.parameterization import EDMPreconditioning, Flow, Parameterization
from sde_diffusion.sde import EDM, LinearSDE, Rectified
from sde_diffusion.sharing.chain import LONGEST, MEANINGS, SCHEDULERS, chain_of, timestep_of

EDM_SCHEDULERS = {"EDMDPMSolverMultistepScheduler", "EDMEulerScheduler"}
FLOW_SCHEDULERS = {"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"}


@dataclass(frozen=True)
class Meaning:
    """What belongs to a network of diffusers: the process, its output, its timestep, its input, the data's deviation."""

    sde: LinearSDE
    parameterization: Parameterization
    timestep: nn.Module
    backbone: type[DiffusersBackbone] = DiffusersBackbone
    std: float = 1.0


def meaning_of(config: Mapping[str, Any]) -> Meaning:
    """That of a scheduler's configuration. Raises ValueError for one of another family, or with options that change it."""
    name = config.get("_class_name")
    if name in EDM_SCHEDULERS:
        return _edm(config)
    if name in FLOW_SCHEDULERS:
        return _flow(config)
    check_chain(config, SCHEDULERS | EDM_SCHEDULERS | FLOW_SCHEDULERS)
    names = ("trained_betas", "beta_start", "beta_end", "num_train_timesteps")
    check_numbers({name: config.get(name) for name in names})
    chain = chain_of(config)
    return Meaning(chain, MEANINGS[config.get("prediction_type", "epsilon")](1.0), timestep_of(chain))


def check_chain(config: Mapping[str, Any], known: set[str] = SCHEDULERS) -> None:
    """Raises ValueError for a scheduler's configuration that is of no chain, or of an unknown meaning of the output."""
    if config.get("_class_name") not in SCHEDULERS:
        raise ValueError(f"it is of {str(config.get('_class_name'))[:40]}; known: {', '.join(sorted(known))}")
    if config.get("prediction_type", "epsilon") not in MEANINGS:
        raise ValueError(f"it predicts {str(config['prediction_type'])[:40]!r}; known: {', '.join(MEANINGS)}")
    if config.get("use_flow_sigmas"):
        raise ValueError("its noise levels are those of a flow (use_flow_sigmas), which is no chain")


def _edm(config: Mapping[str, Any]) -> Meaning:
    if config.get("prediction_type", "epsilon") != "epsilon":
        raise ValueError(
            f"it predicts {str(config['prediction_type'])[:40]!r}, for which diffusers turns the sign of EDM's output; known: "
            "epsilon"
        )
    usual = {"sigma_min": 0.002, "sigma_max": 80.0, "sigma_data": 0.5}
    low, high, std = (_positive(config, name, value) for name, value in usual.items())
    return Meaning(EDM(high, low), EDMPreconditioning(std), LogTimestep(), std=std)


def _flow(config: Mapping[str, Any]) -> Meaning:
    if config.get("invert_sigmas"):
        raise ValueError("its time runs from noise to data (invert_sigmas), and the network's meaning with it")
    steps = config.get("num_train_timesteps", 1000)
    if not isinstance(steps, int) or not 2 <= steps <= LONGEST:
        raise ValueError(f"a flow has 2 to {LONGEST} timesteps, got {str(steps)[:20]}")
    return Meaning(Rectified(), Flow(1.0), ShareTimestep(steps), FlowBackbone)


def _positive(config: Mapping[str, Any], name: str, usual: float) -> float:
    value = config.get(name, usual)
    check_numbers(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ValueError(f"{name} is a number above 0, got {str(value)[:20]}")
    return float(value)
