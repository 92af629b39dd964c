"""From a word such as my_package.my_module:MySDE to a thing, and from a thing to its report."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from sde_diffusion.couplings.base import Coupling
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.sde.base import SDE
from sde_diffusion.sde.bridge import Bridge
from sde_diffusion.testing.bridges import check_bridge
from sde_diffusion.testing.couplings import check_coupling
from sde_diffusion.testing.denoisers import check_denoiser
from sde_diffusion.testing.sampler import SamplerUnderTest
from sde_diffusion.testing.samplers import check_sampler
from sde_diffusion.testing.sdes import check_sde
from solvers.method import Method
from solvers.testing import Report, check_method
from solvers.testing.report import QUICK

CHECKS = {
    SDE: check_sde,
    Method: check_method,
    SamplerUnderTest: check_sampler,
    Denoiser: check_denoiser,
    Coupling: check_coupling,
    Bridge: check_bridge,
}


def load(word: str) -> Any:
    """The object that `module:name` names; a class or a function is called without arguments.

    Modules below the working directory are found too.

    Raises:
        ValueError: not of this form, no such module or name, or one that needs arguments.
    """
    module, colon, name = word.partition(":")
    if not (module and colon and name):
        raise ValueError(f"a subject is written module:name, such as my_package.my_module:MySDE, got {word!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{word!r} cannot be loaded: {error}; look at the spelling, and at the working directory"
        ) from error
    return _made(found, word)


def _made(found: Any, word: str) -> Any:
    if isinstance(found, tuple(CHECKS)) or not callable(found):
        return found
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise ValueError(
            f"{word!r} wants arguments ({error}); name an instance, or a function that makes one"
        ) from error
    missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
    if missing:
        raise ValueError(f"{word!r} does not define {missing}; write them")
    return found()


def check(thing: Any, level: str = QUICK) -> Report:
    """The report on a process, a method, a sampler, a denoiser, a coupling or a bridge, by what it is.

    Raises:
        TypeError: something else.
    """
    for kind, look in CHECKS.items():
        if isinstance(thing, kind):
            return look(thing, level)
    kinds = ", ".join(kind.__name__ for kind in CHECKS)
    raise TypeError(
        f"the kit checks instances of {kinds}, got {type(thing).__name__}; subclass one of them, or wrap a "
        "network as Preconditioned(network, EDMPreconditioning())"
    )
