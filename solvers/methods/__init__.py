"""One method a file: the file is the rule, its declared orders and its source.

`METHODS` are the instances under contract, found by walking this package: every public method that can be made without
arguments, and those that a method's module lists as its own `EXAMPLES`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

from solvers.method import Method


def _instances() -> list[Method]:
    return [
        m for info in pkgutil.iter_modules(__path__, __name__ + ".") for m in _of(importlib.import_module(info.name))
    ]


def _of(module: ModuleType) -> list[Method]:
    if hasattr(module, "EXAMPLES"):
        return module.EXAMPLES
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    return [c() for c in own if issubclass(c, Method) and not inspect.isabstract(c)]


def __getattr__(name: str) -> list[Method]:
    """METHODS, made on first use."""
    if name != "METHODS":
        raise AttributeError(f"module 'solvers.methods' has no name {name!r}")
    globals()[name] = methods = _instances()
    return methods
