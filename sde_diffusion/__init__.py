"""Score-based diffusion models on stochastic differential equations.

    from sde_diffusion import DiffusionModel, samplers

    model = DiffusionModel.for_data(x).fit(x, steps=2000)
    y = model.sample(64, samplers.dpmpp_2m(), nfe=20)

The everyday names of this package and of `solvers` are listed in `__init__.pyi`. Each is loaded when it is first asked
for, so that `import sde_diffusion` costs nothing. `EDM` is the process of the EDM paper, `EDMPreconditioning` its
preconditioning of a network.
"""

import difflib
from importlib.util import find_spec
from typing import Any

import lazy_loader

__version__ = "0.2.0"

_solvers = find_spec("solvers")
if _solvers is not None and _solvers.submodule_search_locations is None:
    raise ImportError(
        f"{_solvers.origin} hides the package solvers, which sde_diffusion needs; rename that file, such as my_solvers.py"
    )

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Load a name on first use. Raises AttributeError with the nearest name for an unknown one."""
    try:
        return _load(name)
    except AttributeError as error:
        if name in __all__ or name.startswith("__"):
            raise
        near = difflib.get_close_matches(name, __all__, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else "`dir(sde_diffusion)` lists its names"
        raise AttributeError(f"module 'sde_diffusion' has no name {name!r}; {hint}") from error
