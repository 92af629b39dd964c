"""What every test shares: settings of hypothesis and torch, the slow tests, and the watch over the global generator."""

from __future__ import annotations

import functools
import os
import sys
from types import FunctionType
from zlib import crc32

os.environ["MPLBACKEND"] = "Agg"  # before anything imports matplotlib: a test opens no window

import pytest
import torch
from hypothesis import HealthCheck, settings
from torch.utils._python_dispatch import _disable_current_modes

# One thread: the tensors of a test are too small to share, and bits are equal only at one and the same thread count.
torch.set_num_threads(1)

# `too_slow` judges the machine and its other guests, not the code.
_ALWAYS = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", derandomize=True, max_examples=20, **_ALWAYS)
settings.register_profile("deep", max_examples=500, **_ALWAYS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


# Slow and weekly tests: asked for by --slow, CI_SLOW=1 or an -m expression that names them; and so on.
# Of a test marked thinned(n) the everyday run has one case of n, picked by its name; with --slow, or CI_WHOLE=1, all run.
LEVELS = {"slow": "the tests marked slow too", "weekly": "repetitions that take an hour"}

_left_out = pytest.StashKey[int]()


def pytest_addoption(parser):
    for level, words in LEVELS.items():
        parser.addoption(f"--{level}", action="store_true", help=f"run {words} (as CI_{level.upper()}=1 does)")


def _wanted(config, level: str) -> bool:
    asked = os.environ.get(f"CI_{level.upper()}", "0") not in ("", "0")
    return asked or config.getoption(f"--{level}") or level in (config.option.markexpr or "")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    unwanted = [level for level in LEVELS if not _wanted(config, level)]
    whole = "slow" not in unwanted or os.environ.get("CI_WHOLE", "0") not in ("", "0")

    def runs(item) -> bool:
        thinned = None if whole else item.get_closest_marker("thinned")
        named = thinned is None or crc32(item.nodeid.encode()) % thinned.args[0] == 0
        return named and not any(item.get_closest_marker(level) for level in unwanted)

    left_out = [item for item in items if not runs(item)]
    if left_out:
        items[:] = [item for item in items if runs(item)]
        config.hook.pytest_deselected(items=left_out)
        config.stash[_left_out] = len(left_out)


def pytest_terminal_summary(terminalreporter, config):
    if config.stash.get(_left_out, 0):
        terminalreporter.write_line(
            f"{config.stash[_left_out]} slow ones left out: --slow or CI_SLOW=1 runs them, --weekly the longest"
        )


def pytest_runtest_setup(item):
    if item.get_closest_marker("cuda") and not torch.cuda.is_available():
        pytest.skip("it asks for a CUDA GPU, and there is none")


# The global generator of torch belongs to the caller: a sampler, a loss or a path that draws from it gives another
# sample in another program. Two uses are fair: a network's initial weights (torch.nn.init), and setting the state.


class GlobalGenerator:
    """The state of torch's global generator as the fair uses leave it; whatever else moves it is a leak."""

    def __init__(self) -> None:
        self.leaked = False
        self.forgive()

    def look(self) -> None:
        with _disable_current_modes():  # such as that of `first_weights.deferred`, under which no tensor has numbers
            self.leaked = self.leaked or not torch.equal(self._state, torch.get_rng_state())

    def forgive(self) -> None:
        with _disable_current_modes():
            self._state = torch.get_rng_state()


_watch: GlobalGenerator | None = None


def _fair(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        watch = _watch
        if watch is None:
            return function(*args, **kwargs)
        watch.look()
        try:
            return function(*args, **kwargs)
        finally:
            watch.forgive()

    return call


def _watch_fair_uses() -> None:
    """Wraps the fair functions wherever torch holds them: torch.nn's own modules import some by name."""
    initialisers = [f for name, f in vars(torch.nn.init).items() if name.endswith("_") and not name.startswith("_")]
    fair = {f: _fair(f) for f in [*initialisers, torch.manual_seed, torch.set_rng_state] if isinstance(f, FunctionType)}
    places = [name for name in sys.modules if name in ("torch", "torch.random") or name.startswith("torch.nn.")]
    for module in map(sys.modules.get, places):
        for name, value in list(vars(module).items()):
            if isinstance(value, FunctionType) and value in fair:
                setattr(module, name, fair[value])


_watch_fair_uses()


@pytest.fixture(autouse=True)
def global_generator(request):
    """Starts every test from one state of the global generator, and fails a test whose code draws from it.

    The marker `global_rng` lifts the second half where such a draw is what the test is about.
    """
    global _watch
    torch.manual_seed(0)
    _watch = watch = GlobalGenerator()
    yield watch
    _watch = None
    watch.look()
    if watch.leaked and not request.node.get_closest_marker("global_rng"):
        pytest.fail(
            "this test drew from torch's global generator: pass a torch.Generator to what draws, let weights start "
            "through torch.nn.init, or mark the test `global_rng` where that draw is its subject",
            pytrace=False,
        )
