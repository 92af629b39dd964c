"""`sde-diffusion`: finds the commands, reads the arguments, runs one; every refusal is one sentence and an exit code."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from jsonargparse import ArgumentError, ArgumentParser

from sde_diffusion.cli import commands, list_options, options
from sde_diffusion.cli.exit_codes import STOPPED, exit_code, message
from sde_diffusion.cli.hints import option_hint
from sde_diffusion.cli.specs import normalise_argv
from sde_diffusion.io.terminal import complain, flush_output, open_closed_streams, say
from sde_diffusion.specs import nearest
from sde_diffusion.training.signals import obey_first_signal

PROGRAM = "sde-diffusion"
DEBUG = "--debug"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command of `arguments` (the process's own by default) and return its exit code.

    0: done. 1: a check failed. 2: refused. 3: the numbers were not finite. 4: out of memory. 129: hung up (SIGHUP).
    130: interrupted (SIGINT). 143: terminated (SIGTERM). See docs/training-faults.md.
    """
    if arguments is not None:
        return _main(list(arguments), to_the_end=False)
    open_closed_streams()
    try:
        return _main(sys.argv[1:], to_the_end=True)
    finally:
        flush_output()


def _main(given: list[str], to_the_end: bool) -> int:
    if given == ["--version"]:
        say(f"{PROGRAM} {version()}")
        return 0
    known = found()
    try:
        name, settings = read(known, normalise_argv(given))
        with warnings.catch_warnings(), obey_first_signal(to_the_end):
            warnings.showwarning = _warn
            done = known[name].run(settings)
    except tuple(STOPPED) as stop:
        how, code = STOPPED[type(stop)]
        complain(f"{PROGRAM}: {how}; {stop}" if str(stop) else f"{PROGRAM}: {how}")
        return code
    except Exception as error:
        ends = exit_code(error)
        if ends is None or DEBUG in given:
            raise
        complain(f"{PROGRAM}: {message(error)}")
        return ends
    return done or 0


def version() -> str:
    """The version of the package."""
    return sys.modules[__name__.partition(".")[0]].__version__


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """A warning on one line, without the place in the code that gave it."""
    complain(f"{PROGRAM}: warning: {' '.join(str(message).split())}")


def found() -> dict[str, ModuleType]:
    """The commands by name: the modules of `commands`, each with a dataclass `Settings` and a function `run`."""
    names = sorted(info.name for info in pkgutil.iter_modules(commands.__path__))
    return {name: importlib.import_module(f"{commands.__name__}.{name}") for name in names}


def read(known: dict[str, ModuleType], arguments: Sequence[str]) -> tuple[str, object]:
    """The command's name and its settings. Raises ValueError with the name that is meant for one that is unknown."""
    whole = options.parser(prog=PROGRAM, description="Diffusion models on stochastic differential equations.")
    whole.add_argument("--version", action="store_true", help="print the version")
    whole.add_argument(DEBUG, action="store_true", help="show where in the code an input was refused")
    choice = whole.add_subcommands(dest="command", required=False, metavar="COMMAND")
    command = next((word for word in arguments if word in known), None)
    for name, module in known.items():
        parser = _parser(module) if name == command else options.parser()
        choice.add_subcommand(name, parser, help=_summary(module))
    given = list(arguments) if command is None else list_options.join_lists(arguments, known[command].Settings)
    try:
        values = whole.parse_args(given)
    except ArgumentError as error:
        names = options.names(known[command].Settings) if command else list(known)
        raise ValueError(_explained(str(error), names, command)) from error
    if values.command is None:
        whole.print_help()
        raise SystemExit(2)
    chosen, settings = values[values.command], known[values.command].Settings
    options.refuse_old_numbers(
        given, [Path(str(file)).read_text(encoding="utf-8") for file in chosen.config or ()], settings
    )
    return values.command, options.filled(settings, chosen)


def _parser(module: ModuleType) -> ArgumentParser:
    parser = options.parser(description=module.__doc__)
    options.add_config_option(parser)
    options.add_options(parser, module.Settings)
    return parser


def _summary(module: ModuleType) -> str:
    """The first line of a command's docstring; nothing under `python -OO`, which removes docstrings."""
    return (module.__doc__ or "").strip().partition("\n")[0]


_UNKNOWN = re.compile(
    r"--([\w.-]+)|(?:[Kk]ey|option|(?<!Sub)command) ['\"]([\w.-]+)['\"]|invalid choice: ['\"]([\w.-]+)['\"]"
)
_WRONG = re.compile(r"Expected a <class '(\w+)'>|Subtypes: \[(?:<class 'NoneType'>, )?(?:<class '(\w+)'>|(list))")
_VALUE = re.compile(r"(?:Given|Got) value: (.*?)(?: - Expected| Given value| Value|$)")
_KINDS = {
    "int": "a whole number such as 3", "float": "a number such as 0.001", "bool": "true or false",
    "list": "a list such as 8 16 32, or '[8,16,32]'", "str": "a text",
}  # fmt: skip


def _explained(words: str, names: list[str], command: str | None) -> str:
    """An error of the parser in one sentence that says what to write instead."""
    line = " ".join(words.split()).removeprefix("argument COMMAND: ")
    option = next((name for name in re.findall(r"[\"-]([\w.]+)[\":]", line) if name in names), None)
    if (wrong := _WRONG.search(line)) and (value := _VALUE.search(line)) and option:
        kind = next(filter(None, wrong.groups()))
        return f"--{option} takes {_KINDS.get(kind, 'another type')}, got {value[1][:80]!r}; correct it"
    for word in (next(filter(None, groups)) for groups in _UNKNOWN.findall(line)):
        hint = None if word in names else option_hint(word, names) or _spelling(word, names)
        if hint:
            return f"{line}; {hint}"
    if ("nrecognized arguments" in line or "are required" in line) and command:
        return f"{line.replace(command + '.', '')}; `sde-diffusion {command} --help` lists the options"
    return line


def _spelling(word: str, names: list[str]) -> str:
    """`did you mean ...?` for the option that is spelt like the word, if there is one."""
    spelt = {(name if "." in word else name.split(".")[-1]): name for name in reversed(names)}
    hint = nearest(word.replace("-", "_"), spelt)
    near = re.fullmatch(r"did you mean '(.*)'\?", hint)
    return f"did you mean {spelt[near[1]]!r}?" if near else ""
