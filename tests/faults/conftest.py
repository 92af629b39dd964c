"""What the tests of faults share: the small run of the training tests, children to kill, and the count of attempts."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.faults import apart, reading
from tests.training.conftest import is_sentence, run, same

__all__ = ["is_sentence", "run", "same"]

ROOT = Path(__file__).resolve().parents[2]


def sentences(said: str) -> list[str]:
    """The lines that a command wrote on the standard error, without its progress and the summary of its data."""
    return [line for line in said.splitlines() if not re.match(r"step \d+ of \d+ \(|data: |  ", line)]


def one_in(n: int):
    """Marks a test with `every`: n every day and in CI, 1 in the weekly run; it makes attempts[::every]."""
    return pytest.mark.parametrize("every", [n, pytest.param(1, marks=pytest.mark.weekly)], ids=["some", "all"])


@pytest.fixture(autouse=True)
def _no_wait_for_the_disk(monkeypatch):
    """Here, not in the children that are killed: only a power cut, which no test makes, asks for what was synchronised."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="session")
def _server():
    """The server, with all that a child needs in its memory."""
    if os.name != "posix":
        pytest.skip("the faults are injected into forked children")
    before = Path.cwd()
    os.chdir(ROOT)  # where the server finds the modules to import
    apart.SERVER.set_forkserver_preload(["tests.faults.warm"])
    try:
        from multiprocessing.forkserver import ensure_running

        ensure_running()
    finally:
        os.chdir(before)


@pytest.fixture
def child(_server, tmp_path):
    """`child(body, *arguments, name=...)`, for use with `with`; what it says lies in a folder of that name."""

    def begin(body: Callable, *arguments: object, name: str = "child"):
        return apart.started(tmp_path / f"said-{name}", body, *arguments)

    return begin


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def ended(child):
    """`ended(job, folder, size, killed=(rank, call))`: the processes of a run to their end, which is that of the killed one."""

    def run(job, folder, size, killed=None, name="whole") -> None:
        port = _free_port()
        with ExitStack() as stack:
            processes = []
            for rank in range(size):
                call = killed[1] if killed is not None and killed[0] == rank else None
                told = (job, folder, size, rank, port, call)
                processes.append(stack.enter_context(child(reading.body, *told, name=f"{name}-{rank}")))
            if killed is None:
                assert [process.ended() for process in processes] == [0] * size, processes[0].words()
            else:
                assert processes[killed[0]].ended() == -signal.SIGKILL, processes[killed[0]].words()

    return run


def _attempted(node, attempts, attempt: Callable[[object], None]) -> None:
    """Make every attempt, though some fail; count them for the table of docs/faults.md."""
    attempts, failed = list(attempts), []
    for one in attempts:
        try:
            attempt(one)
        except AssertionError as error:
            failed.append(f"{one}: {error}")
    node.user_properties += [("attempts", len(attempts)), ("passed", len(attempts) - len(failed))]
    assert not failed, f"{len(failed)} of {len(attempts)} failed; the first: {failed[0]}"


@pytest.fixture
def attempted(request):
    """`attempted(attempts, attempt)` calls `attempt` with each of the attempts, which are fixed beforehand."""
    return partial(_attempted, request.node)
