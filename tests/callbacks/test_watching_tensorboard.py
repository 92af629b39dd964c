"""Event files are read back: every step once, in order, with the numbers and pixels of the run's own files."""

from __future__ import annotations

import io
import math
import sys

import numpy as np
import pytest
from PIL import Image

from sde_diffusion import DiffusionModel
from sde_diffusion.callbacks import Pictures, TensorBoard
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.sde import VP
from sde_diffusion.training import Callback, Every, fit

NAMES = {"loss", "gradient_norm", "learning_rate", "images_per_second", "skipped"}


@pytest.fixture
def events():
    """Reads a folder as TensorBoard does; skipped where the extra is not installed, which CI's test extra does."""
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder):
        found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
        return found.Reload()

    return read


class Stop(Callback):
    """Ends the run at a step, as Ctrl-C does."""

    def __init__(self, step: int) -> None:
        self.trigger, self.step = Every(1), step

    def on_report(self, context):
        context.numbers["held_out_loss"] = 10.0 * context.step
        if context.step == self.step:
            raise KeyboardInterrupt


def fitted(whole, *observers):
    return fit(
        whole.denoiser, VP(), whole.data, whole.settings, labels=whole.labels, folder=whole.folder, callbacks=observers
    )


def test_the_event_file_has_the_numbers_of_the_metrics_file(run, tmp_path, events):
    whole = run(tmp_path)
    fitted(whole, Stop(100), TensorBoard(tmp_path))
    found, lines = events(tmp_path), metrics_file.read(tmp_path / "metrics.jsonl")
    assert set(found.Tags()["scalars"]) == NAMES | {"held_out_loss"}
    for name in (*NAMES, "held_out_loss"):
        wanted = [(line["step"], line[name]) for line in lines if name in line]
        read = {event.step: event.value for event in found.Scalars(name)}
        assert list(read) == list(range(1, 10)) == [event.step for event in found.Scalars(name)]
        assert read == pytest.approx(dict(wanted), rel=1e-6)


def test_pictures_become_images(run, tmp_path, events):
    whole = run(tmp_path)
    model = DiffusionModel(VP(), whole.denoiser, (2,), class_names=("0", "1", "2"))
    pictures = Pictures(Every(4), tmp_path, model, whole.data, count=6)
    fitted(whole, pictures, TensorBoard(tmp_path))
    shown = events(tmp_path).Images("samples")
    assert [event.step for event in shown] == [4, 8, 9]
    for event in shown:
        with (
            Image.open(io.BytesIO(event.encoded_image_string)) as inside,
            Image.open(tmp_path / "pictures" / f"step-{event.step:06d}.png") as own,
        ):
            np.testing.assert_array_equal(np.asarray(inside.convert("RGB")), np.asarray(own.convert("RGB")))


@pytest.mark.parametrize("checkpoint_every", [100, 4])
def test_a_run_that_goes_on_leaves_no_step_twice(run, tmp_path, events, checkpoint_every):
    """Stopped at 6 of 9 in good order, or killed there and begun again at the checkpoint of step 4."""
    whole = run(tmp_path, checkpoint_every=checkpoint_every)
    board = TensorBoard(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fitted(whole, board, Stop(6))
    if checkpoint_every == 4:
        import shutil

        shutil.rmtree(tmp_path / "checkpoints" / "step-000006")
    fitted(run(tmp_path, checkpoint_every=checkpoint_every), TensorBoard(tmp_path))
    found = events(tmp_path)
    for name in NAMES:
        read = found.Scalars(name)
        assert [event.step for event in read] == list(range(1, 10))
        assert all(math.isfinite(event.value) for event in read)
    if checkpoint_every == 4:
        lines = [line for line in metrics_file.read(tmp_path / "metrics.jsonl") if "loss" in line]
        assert [event.value for event in found.Scalars("loss")] == pytest.approx([line["loss"] for line in lines])


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch, is_sentence):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'sde-diffusion\[tensorboard\]'") as caught:
        TensorBoard(tmp_path)
    assert is_sentence(caught.value)
