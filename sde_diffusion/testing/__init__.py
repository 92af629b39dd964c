"""The conformance kit: prove your own SDE, denoiser, method or sampler in one line.

    print(check_sde(MySDE()))            print(check_method(MyMethod()))
    print(check_denoiser(my_denoiser))   print(check_sampler(my_sampler))
    print(check_coupling(MyCoupling()))  print(check_bridge(MyBridge()))

Names are loaded at their first use: pytest imports this package for its plugin, and must not wait for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "check_sde": "sde_diffusion.testing.sdes",
    "check_bridge": "sde_diffusion.testing.bridges",
    "check_coupling": "sde_diffusion.testing.couplings",
    "check_denoiser": "sde_diffusion.testing.denoisers",
    "check_sampler": "sde_diffusion.testing.samplers",
    "SamplerUnderTest": "sde_diffusion.testing.sampler",
    "check": "sde_diffusion.testing.subject",
    "load": "sde_diffusion.testing.subject",
    "check_method": "solvers.testing",
    "check_engine": "solvers.testing",
    "check_field": "solvers.testing",
    "Finding": "solvers.testing",
    "Report": "solvers.testing",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from sde_diffusion.testing.bridges import *  # noqa: F403
    from sde_diffusion.testing.couplings import *  # noqa: F403
    from sde_diffusion.testing.denoisers import *  # noqa: F403
    from sde_diffusion.testing.sampler import *  # noqa: F403
    from sde_diffusion.testing.samplers import *  # noqa: F403
    from sde_diffusion.testing.sdes import *  # noqa: F403
    from sde_diffusion.testing.subject import *  # noqa: F403
    from solvers.testing import *  # noqa: F403


def __getattr__(name: str) -> Any:
    """Load a name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sde_diffusion.testing' has no name {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)
