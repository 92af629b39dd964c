"""Find implementations by walking packages, so that one new idea is one new file and nothing is listed twice.

A class is found when it is concrete, public and defined in a module of the package (at any depth), or when an installed
distribution offers it, or its module, under the entry-point group `sde_diffusion.plugins`. Its name is its own class
attribute `name`, else its class name in snake case: HeunRK -> heun_rk, FashionMNIST -> fashion_mnist.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import metadata
from types import ModuleType

GROUP = "sde_diffusion.plugins"

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """HeunRK -> heun_rk; a kebab-case name becomes snake case too."""
    return _WORD_START.sub("_", name).replace("-", "_").lower()


def name_of(cls: type) -> str:
    """The name an implementation goes by: its own (not an inherited) string attribute `name`, else `snake`."""
    own = vars(cls).get("name")
    return own if isinstance(own, str) else snake(cls.__name__)


def implementations(package: ModuleType | str, base: type) -> dict[str, type]:
    """Every concrete public subclass of `base` in the package, its sub-packages and the plug-ins, by name, sorted.

    Raises ValueError when two classes claim one name, and ImportError when a plug-in cannot be loaded.
    """
    found: dict[str, type] = {}
    for cls in _candidates(package):
        if not (issubclass(cls, base) and _is_concrete(cls)):
            continue
        if found.setdefault(name_of(cls), cls) is not cls:
            raise ValueError(
                f"{_path(found[name_of(cls)])} and {_path(cls)} are both called {name_of(cls)!r}; "
                "give one of them another class attribute `name`"
            )
    return dict(sorted(found.items()))


def find(package: ModuleType | str, base: type, name: str) -> type:
    """The implementation called `name` (snake or kebab case); an unknown name is a ValueError that suggests one."""
    known = implementations(package, base)
    if name in known:
        return known[name]
    if snake(name) in known:
        return known[snake(name)]
    near = difflib.get_close_matches(snake(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    raise ValueError(f"no {base.__name__} is called {name!r}{hint} known: {', '.join(known) or 'none'}")


def _candidates(package: ModuleType | str) -> Iterator[type]:
    root = importlib.import_module(package) if isinstance(package, str) else package
    yield from _classes_of(root)
    for info in pkgutil.walk_packages(root.__path__, root.__name__ + "."):
        yield from _classes_of(importlib.import_module(info.name))
    for entry in metadata.entry_points(group=GROUP):
        yield from _classes_offered(entry)


def _classes_of(module: ModuleType) -> Iterator[type]:
    """The classes a module defines, without those it imports."""
    return (value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__)


def _classes_offered(entry: metadata.EntryPoint) -> Iterator[type]:
    try:
        offered = entry.load()
    except Exception as error:
        raise ImportError(
            f"the plug-in {entry.name} = {entry.value} cannot be loaded ({error}); repair or uninstall its distribution"
        ) from error
    return iter([offered]) if inspect.isclass(offered) else _classes_of(offered)


def _is_concrete(cls: type) -> bool:
    return not inspect.isabstract(cls) and not cls.__name__.startswith("_")


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
