"""Two runs in one folder: the second is refused, however close together they begin, and the first never notices."""

from __future__ import annotations

import signal
import time

import pytest

from sde_diffusion.cli.main import main
from sde_diffusion.io.lock import FolderInUse, locked
from sde_diffusion.training import RunFolder
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from tests.cli.conftest import TINY
from tests.faults import bodies
from tests.faults.test_signalled import LONG, wait_for_reports


def test_a_second_run_in_the_folder_is_refused(run, tmp_path, is_sentence):
    first = run(tmp_path).reports()
    next(first)
    with pytest.raises(FolderInUse, match="in use by another run") as caught:
        run(tmp_path).go()
    assert is_sentence(caught.value)
    assert next(first).step == 2
    first.close()
    assert run(tmp_path).go()[0].step == 3


def test_the_second_command_is_refused(child, tmp_path, capsys):
    """Exit code 2; the first, which trains meanwhile, ends as it would have."""
    wanted = ["train", *LONG, "--training.log_every", "1", "--output", str(tmp_path / "run")]
    with child(bodies.command, wanted) as first:
        wait_for_reports(tmp_path / "run")
        assert main(wanted) == 2
        said = capsys.readouterr().err
        assert "is in use by another run" in said
        assert said.count("\n") == 1
        first.signal(signal.SIGTERM)
        assert first.ended() == 143
    assert len(checkpoints(tmp_path / "run/checkpoints")) == 1


@pytest.mark.parametrize("attempts", [2, pytest.param(12, marks=pytest.mark.slow)])
@pytest.mark.parametrize("other", [[], ["--sde", "ve"]], ids=["the same run", "another run"])
def test_two_commands_at_once(child, attempted, tmp_path, other, attempts):
    """Of two that begin in the same millisecond one trains to its end, in a folder that is its own."""

    def attempt(number):
        folder, start = tmp_path / str(number), time.time() + 0.15
        wanted = ["train", *TINY, "--training.steps", "40", "--output", str(folder)]
        with (
            child(bodies.command_at_once, wanted, start, name=f"{number}a") as a,
            child(bodies.command_at_once, [*wanted, *other], start, name=f"{number}b") as b,
        ):
            codes = [a.ended(), b.ended()]
            said = a.words() + b.words()
        assert "Traceback" not in said, said
        assert codes.count(2) <= 1, said
        assert codes in ([0, 2], [2, 0]) or (codes == [0, 0] and not other), said
        winner = ["vp", "ve"][codes.index(0)] if other else "vp"
        assert RunFolder(folder).config()["sde"]["name"] == winner, "the folder says it is the other run's"
        assert list(checkpoints(folder / "checkpoints"))[-1] == 40

    attempted(range(attempts), attempt)


def test_the_lock_ends_with_its_holder(child, tmp_path):
    with child(bodies.hold_the_lock, tmp_path / "run") as holder:
        holder.wait_for(1)
        with pytest.raises(FolderInUse, match="in use by another run"), locked(tmp_path / "run"):
            pass
        assert holder.kill() == -signal.SIGKILL
    with locked(tmp_path / "run"):
        pass
