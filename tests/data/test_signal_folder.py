"""Folders of signals: .npy and .wav files, classes by folder, one length, and all faults at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from sde_diffusion.data import by_name

RATE = 8000
WAVES = {
    "u1": (np.array([0, 128, 255], np.uint8), [-1, 0, 127 / 128]),
    "i2": (np.array([-32768, 0, 16384], np.int16), [-1, 0, 0.5]),
    "i4": (np.array([-(2**31), 0, 2**30], np.int32), [-1, 0, 0.5]),
    "f4": (np.array([-1.5, 0, 0.25], np.float32), [-1.5, 0, 0.25]),
}


@pytest.mark.parametrize("kind", WAVES)
def test_integers_of_a_wav_are_divided_by_their_largest_magnitude(tmp_path, kind):
    samples, expected = WAVES[kind]
    for name, sign in (("a", 1), ("b", 2)):
        wavfile.write(tmp_path / f"{name}.wav", RATE, (samples[::-1] if sign == 2 else samples).copy())
    source = by_name("signal_folder", root=str(tmp_path), held_out=0.5)
    found = {tuple(source.tensors(split)[0][0, 0].tolist()) for split in ("train", "held_out")}
    assert found == {tuple(expected), tuple(expected[::-1])}
    assert len(source.summary()["notes"]) == (kind != "f4")


def test_channels_come_first_and_folders_are_classes(tmp_path):
    for kind in ("hum", "hiss"):
        (tmp_path / kind / "deep").mkdir(parents=True)
    stereo = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    for i, folder in enumerate(("hum", "hum/deep", "hiss")):
        wavfile.write(tmp_path / folder / "a.wav", RATE, stereo + 10 * i)
    (tmp_path / "hum" / ".hidden.wav").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    source = by_name("signal_folder", root=str(tmp_path), held_out=0.5)
    assert source.event_shape == (2, 3)
    assert source.class_names == ("hiss", "hum")
    assert source.summary()["notes"] == ["1 other files passed over: 1 .txt"]
    parts = [source.tensors(split) for split in ("train", "held_out")]
    rows = {
        int(x[0, 0]): int(label)
        for xs, labels in parts
        if labels is not None
        for x, label in zip(xs, labels, strict=True)
    }
    assert rows == {1: 1, 11: 1, 21: 0}
    assert torch.equal(
        torch.cat([x for x, _ in parts])[:, 1] - torch.cat([x for x, _ in parts])[:, 0], torch.ones(3, 3)
    )


def test_a_flat_folder_has_no_classes_and_lengths_are_made_equal_when_asked(tmp_path):
    for n in (2, 3, 5):
        np.save(tmp_path / f"{n}.npy", np.arange(1.0, n + 1))
    with pytest.raises(ValueError, match=r"2 files cannot be used: .*most have \(1, 2\); .*length=L"):
        by_name("signal_folder", root=str(tmp_path)).size()
    source = by_name("signal_folder", root=str(tmp_path), length=3, held_out=0.4)
    assert (source.classes, source.event_shape) == (None, (1, 3))
    rows = torch.cat([source.tensors(split)[0] for split in ("train", "held_out")])[:, 0]
    assert sorted(rows.tolist()) == [[1, 2, 0], [1, 2, 3], [1, 2, 3]]
    assert source.summary()["notes"] == ["of 3 signals 1 are cut and 1 filled with zeros to length 3"]


def test_a_file_that_is_added_changes_the_side_of_no_other(tmp_path):
    for n in range(12):
        np.save(tmp_path / f"{n:02}.npy", np.full(4, float(n)))
    before = by_name("signal_folder", root=str(tmp_path), held_out=0.3).tensors("held_out")[0]
    np.save(tmp_path / "00a.npy", np.full(4, 99.0))
    after = by_name("signal_folder", root=str(tmp_path), held_out=0.3).tensors("held_out")[0]
    assert set(before[:, 0, 0].tolist()) <= set(after[:, 0, 0].tolist())


def test_all_bad_files_are_named_at_once(tmp_path):
    np.save(tmp_path / "good.npy", np.ones(4))
    np.save(tmp_path / "nan.npy", np.array([1, np.nan, 2, 3]))
    np.save(tmp_path / "object.npy", np.array([1, "a"], dtype=object))
    (tmp_path / "damaged.wav").write_bytes(b"RIFF and no more")
    with pytest.raises(ValueError, match="3 files cannot be used") as caught:
        by_name("signal_folder", root=str(tmp_path)).size()
    for name in ("nan.npy", "object.npy", "damaged.wav"):
        assert str(tmp_path / name) in str(caught.value)
    assert "good" not in str(caught.value)


def test_other_folders_and_rates_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is no folder"):
        by_name("signal_folder", root=str(tmp_path / "none")).size()
    with pytest.raises(ValueError, match=r"holds no .npy or .wav files"):
        by_name("signal_folder", root=str(tmp_path)).size()
    with pytest.raises(ValueError, match="length is a number of samples"):
        by_name("signal_folder", root=str(tmp_path), length=0)
    for rate in (8000, 44100):
        wavfile.write(tmp_path / f"{rate}.wav", rate, np.zeros(4, np.float32))
    with pytest.raises(ValueError, match=r"\.wav files of \[8000, 44100\] samples a second"):
        by_name("signal_folder", root=str(tmp_path)).size()
