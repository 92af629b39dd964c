"""Score-based diffusion models on stochastic differential equations.

Everyday names, loaded when they are first asked for, so that `import sde_diffusion` costs nothing:

    from sde_diffusion import VP, Preconditioned, TimeMLP, EDMPreconditioning, fit, sample, reverse_sde
    from solvers import FixedGrid, EulerMaruyama

`EDM` is the process of the EDM paper, `EDMPreconditioning` its preconditioning of a network.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "sde_diffusion.sde": "SDE LinearSDE VP SubVP VE Brownian Cosine Rectified DDPM EDM GaussianPrior",
    "sde_diffusion.kernel": "Kernel",
    "sde_diffusion.parameterization": "Parameterization Noise Data Score Velocity EDMPreconditioning",
    "sde_diffusion.denoisers": "Denoiser Preconditioned",
    "sde_diffusion.networks": "TimeMLP UNet DiT cost",
    "sde_diffusion.exact": "Gaussian Mixture Empirical ExactDenoiser",
    "sde_diffusion.reversal": (
        "Reversal reverse_sde probability_flow annealed_langevin data_form noise_form ancestral ancestral_large ddim "
        "predictor_corrector edm_churn sigma_form velocity_form in_log_snr"
    ),
    "sde_diffusion.objectives": (
        "ContinuousBound DiscreteBound Hybrid ImplicitScoreMatching LocalDenoising SlicedScoreMatching "
        "DenoisingScoreMatching EDMWeighting LogNormalLevel MinSNR simple uniform_log_snr uniform_time"
    ),
    "sde_diffusion.likelihood": (
        "Chain LogProb continuous_bound elbo flow_log_prob importance_weighted log_likelihood quantised"
    ),
    "sde_diffusion.training": "TrainSettings fit train",
    "sde_diffusion.sampling": "default_solver default_stochastic_solver sample sample_chunks",
    "sde_diffusion.tuning.tune": "TuneSettings tune",
    "sde_diffusion.sharing": "from_pretrained save_pretrained",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from sde_diffusion.denoisers.base import *  # noqa: F403
    from sde_diffusion.exact import *  # noqa: F403
    from sde_diffusion.kernel import *  # noqa: F403
    from sde_diffusion.likelihood import *  # noqa: F403
    from sde_diffusion.networks import *  # noqa: F403
    from sde_diffusion.objectives import *  # noqa: F403
    from sde_diffusion.parameterization import *  # noqa: F403
    from sde_diffusion.reversal import *  # noqa: F403
    from sde_diffusion.sampling.sample import *  # noqa: F403
    from sde_diffusion.sharing import *  # noqa: F403
    from sde_diffusion.training import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Load a name from its home on first use."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'sde_diffusion' has no name {name!r}; it has {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The lazy names and the loaded ones."""
    return sorted({*globals(), *__all__})
