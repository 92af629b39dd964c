"""A memory that is too small: one sentence that names what to lower, and the checkpoints as they were."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.cli import factories as build
from sde_diffusion.cli import generate_job
from sde_diffusion.cli.main import main
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from sde_diffusion.training.errors import is_out_of_memory
from tests.cli.conftest import TINY
from tests.faults.conftest import sentences

CUDA = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.1 GiB\nof which 3 MiB"


def too_large(*_):
    torch.empty(2**60, dtype=torch.uint8)  # what torch's own allocator says


KINDS = {
    "torch's own": too_large,
    "of an accelerator": lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError(CUDA)),
    "of a library": lambda *_: (_ for _ in ()).throw(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")),
    "Python's": lambda *_: (_ for _ in ()).throw(MemoryError()),
}


class Starved:
    """The usual objective, which runs out of memory in a step, before or after its backward pass began."""

    def __init__(self, step: int, starve, backward: bool = False, like=None) -> None:
        self.left, self.starve, self.backward, self.like = step, starve, backward, like or DenoisingScoreMatching()

    def fingerprint(self):
        """That of the usual objective, so that a run goes on without the fault."""
        return self.like

    def __call__(self, *arguments, **condition):
        self.left -= 1
        losses = DenoisingScoreMatching()(*arguments, **condition)
        if self.left == 0 and self.backward:
            losses.register_hook(self.starve)
        elif self.left == 0:
            self.starve()
        return losses


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_starved_step(run, same, tmp_path, is_sentence, kind, backward):
    straight = run()
    straight.go()
    with pytest.raises(torch.OutOfMemoryError, match=r"lower batch_size \(4\)") as caught:
        run(tmp_path, Starved(6, KINDS[kind], backward), checkpoint_every=2).go()
    assert is_sentence(caught.value)
    assert list(checkpoints(tmp_path / "checkpoints")) == [2, 4]
    again = run(tmp_path, checkpoint_every=2)
    assert again.go()[0].step == 5
    assert same(again.weights(), straight.weights())


def test_other_errors_are_not_taken_for_it(run):
    def failing(*arguments, **condition):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (4x2 and 3x8)")

    with pytest.raises(RuntimeError, match=r"^mat1 and mat2") as caught:
        run(objective=failing).go()
    assert not isinstance(caught.value, torch.OutOfMemoryError)
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_ends_with_code_4(tmp_path, monkeypatch, capsys, kind):
    monkeypatch.chdir(tmp_path)
    usual, wanted = build.objective, ["train", *TINY, "--output", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(build, "objective", lambda *given: Starved(6, KINDS[kind], like=usual(*given)))
        assert main(wanted) == 4
    said = sentences(capsys.readouterr().err)
    assert len(said) == 1, said
    assert "lower batch_size (32)" in said[0]
    assert main(wanted) == 0


def test_the_command_that_samples_ends_with_code_4_too(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--training.steps", "2", "--output", "run"]) == 0
    monkeypatch.setattr(generate_job, "generate_chunk", too_large)
    capsys.readouterr()
    assert main(["sample", "run"]) == 4
    said = capsys.readouterr().err
    assert "lower --chunk" in said
    assert said.count("\n") == 1
