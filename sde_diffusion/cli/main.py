"""`sde-diffusion`: finds the commands, reads the arguments, runs one; every refusal is one sentence and an exit code."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import re
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

from jsonargparse import ArgumentError, ArgumentParser

from sde_diffusion.cli import commands, list_options, options
from sde_diffusion.cli import specs as parts
from sde_diffusion.cli.exit_codes import (
    INTERRUPTED,
    TERMINATED,
    exit_code,
    message,
)
from sde_diffusion.training.signals import Terminated, terminable

PROGRAM = "sde-diffusion"
DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command of `arguments` (the process's own by default) and return its exit code.

    0: done. 1: a check failed. 2: refused. 3: the numbers were not finite. 4: out of memory. 130: interrupted (SIGINT).
    143: terminated (SIGTERM). See docs/training-faults.md.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    known = found()
    try:
        name, settings = read(known, parts.normalise_argv(given))
        with warnings.catch_warnings(), terminable():
            warnings.showwarning = _warn
            done = known[name].run(settings)
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print(f"{PROGRAM}: terminated", file=sys.stderr)
        return TERMINATED
    except Exception as error:
        ends = exit_code(error)
        if ends is None or DEBUG in given:
            raise
        print(f"{PROGRAM}: {message(error)}", file=sys.stderr)
        return ends
    return done or 0


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """A warning on one line, without the place in the code that gave it."""
    print(f"{PROGRAM}: warning: {' '.join(str(message).split())}", file=sys.stderr)


def found() -> dict[str, ModuleType]:
    """The commands by name: the modules of `commands`, each with a dataclass `Settings` and a function `run`."""
    names = sorted(info.name for info in pkgutil.iter_modules(commands.__path__))
    return {name: importlib.import_module(f"{commands.__name__}.{name}") for name in names}


def read(known: dict[str, ModuleType], arguments: Sequence[str]) -> tuple[str, object]:
    """The command's name and its settings. Raises ValueError with the nearest spelling for what nobody knows."""
    whole = options.parser(prog=PROGRAM, description="Diffusion models on stochastic differential equations.")
    whole.add_argument(DEBUG, action="store_true", help="show where in the code an input was refused")
    choice = whole.add_subcommands(dest="command", required=False, metavar="COMMAND")
    parsers = {name: _parser(module) for name, module in known.items()}
    for name, parser in parsers.items():
        choice.add_subcommand(name, parser, help=_summary(known[name]))
    command = next((name for name in arguments if name in known), None)
    given = list(arguments) if command is None else list_options.join_lists(arguments, known[command].Settings)
    try:
        values = whole.parse_args(given)
    except ArgumentError as error:
        raise ValueError(_with_nearest(str(error), known, parsers, arguments)) from error
    if values.command is None:
        whole.print_help()
        raise SystemExit(2)
    return values.command, options.filled(known[values.command].Settings, values[values.command])


def _parser(module: ModuleType) -> ArgumentParser:
    parser = options.parser(description=module.__doc__)
    options.add_config_option(parser)
    options.add_options(parser, module.Settings)
    return parser


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _with_nearest(
    words: str, known: dict[str, ModuleType], parsers: dict[str, ArgumentParser], arguments: Sequence[str]
) -> str:
    """An error of the parser in one line, with the known name that is nearest to one it does not know."""
    chosen = next((name for name in arguments if name in parsers), None)
    names = list(map(str, parsers[chosen].get_defaults().keys())) if chosen else list(known)
    line = " ".join(words.split()).removeprefix("argument COMMAND: ")
    for word in re.findall(r"(?:--|['\"])([\w.-]+)", line):
        spelt = {(name if "." in word else name.split(".")[-1]): name for name in reversed(names)}
        near = difflib.get_close_matches(word, spelt, n=1, cutoff=0.6)
        if near and word not in names:
            return f"{line}; did you mean {spelt[near[0]]!r}?"
    return line
