"""Discrete chains as diffusers' schedulers describe them, and as processes of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sde_diffusion.networks.foreign import ChainTimestep
from sde_diffusion.parameterization import Data, Noise, Parameterization, Velocity
from sde_diffusion.sde import DDPM, LinearSDE

MEANINGS: Mapping[str, type[Parameterization]] = {"epsilon": Noise, "sample": Data, "v_prediction": Velocity}
"""What a network's output means, by the word of a scheduler's `prediction_type`."""

SCHEDULERS = {
    f"{name}Scheduler"
    for name in [
        "DDIM",
        "DDPM",
        "DEISMultistep",
        "DPMSolverMultistep",
        "DPMSolverSinglestep",
        "EulerAncestralDiscrete",
        "EulerDiscrete",
        "HeunDiscrete",
        "LMSDiscrete",
        "PNDM",
        "Solver",
        "UniPCMultistep",
    ]
}
"""Those of a chain: they have the same tables of betas, and differ in how they sample."""

LONGEST = 10_000


def chain_of(config: Mapping[str, Any]) -> DDPM:
    """The chain of a scheduler's configuration; ValueError for a table that is unknown, or of zero SNR with predicted noise.

    The tables are diffusers' own: `linear` in beta, `scaled_linear` in sqrt(beta), `squaredcos_cap_v2` the cosine of
    Nichol & Dhariwal, or `trained_betas` itself.
    """
    if not config.get("rescale_betas_zero_snr"):
        return _table(config)
    if config.get("prediction_type", "epsilon") == "epsilon":
        raise ValueError(
            "its last step has no signal (rescale_betas_zero_snr), where the noise that a network predicts says nothing of the "
            "data; take a network of v_prediction or sample"
        )
    return _table(config).zero_terminal_snr()


def _table(config: Mapping[str, Any]) -> DDPM:
    if (betas := config.get("trained_betas")) is not None:
        return DDPM(tuple(betas))
    if missing := sorted({"beta_start", "beta_end", "beta_schedule"} - set(config)):
        raise ValueError(f"it lacks {missing[0]}, whose default is not the same for all schedulers; write it there")
    steps, kind = config.get("num_train_timesteps", 1000), config["beta_schedule"]
    if not isinstance(steps, int) or not 2 <= steps <= LONGEST:
        raise ValueError(f"a chain has 2 to {LONGEST} steps, got {str(steps)[:20]}")
    low, high = float(config["beta_start"]), float(config["beta_end"])
    if kind == "linear":
        return DDPM(tuple(low + (high - low) * i / (steps - 1) for i in range(steps)))
    if kind == "scaled_linear":
        roots = math.sqrt(low), math.sqrt(high)
        return DDPM(tuple((roots[0] + (roots[1] - roots[0]) * i / (steps - 1)) ** 2 for i in range(steps)))
    if kind == "squaredcos_cap_v2":
        return DDPM.cosine(steps)
    raise ValueError(
        f"its table of betas is called {str(kind)[:40]!r}; known: linear, scaled_linear, squaredcos_cap_v2"
    )


def as_chain(sde: LinearSDE, steps: int = 1000) -> DDPM:
    """The process itself where it is a chain, else the chain through `steps` of its times; ValueError as there."""
    return sde if isinstance(sde, DDPM) else DDPM.from_process(sde, steps)


def levels(chain: DDPM) -> Sequence[float]:
    """log(sigma/alpha) at the chain's steps."""
    return [-0.5 * float(chain.log_snr(chain.node(k + 1))) for k in range(chain.steps)]


def timestep_of(sde: LinearSDE, steps: int = 1000) -> ChainTimestep:
    """The rule from noise levels to steps 0 .. N - 1 for a network trained on a chain, or on one through a process."""
    return ChainTimestep(levels(as_chain(sde, steps)))
