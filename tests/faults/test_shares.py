"""Checkpoints in shares: the bits of whole ones, gone on with by another number of processes, verified, never a pickle."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sde_diffusion import DiffusionModel
from sde_diffusion.data import by_name
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.io.atomic import to_json
from sde_diffusion.training import TrainSettings, load
from sde_diffusion.training.checkpoints import manifest, shares
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.store import store_for
from tests.faults import reading
from tests.training.conftest import STEPS


def pictures(files: Path):
    return reading.Flat(by_name("image_folder", root=str(files), held_out=0.1))


@pytest.fixture
def job(tmp_path) -> reading.Job:
    """Two processes with a share each, with which they begin and which they write."""
    files = reading.write_pictures(tmp_path / "files")
    return reading.Job(pictures, files, 0, engine="sharded", checkpoints="shares", deferred=True)


def whole(job: reading.Job) -> reading.Job:
    """A whole network to begin with, and whole tensors in files."""
    return dataclasses.replace(job, checkpoints="whole", deferred=False)


def tensors_of(checkpoint) -> dict:
    """All tensors of a checkpoint of whole ones, by the names that they have in shares."""
    return {
        f"{part}:{name}": value
        for part in ("model", "ema", "optimizer", "power")
        for name, value in getattr(checkpoint, part).items()
    }


def filled(path: Path, like: dict) -> dict:
    """Shares put together."""
    shares.verify(path)
    found = {name: torch.full_like(value, 7) for name, value in like.items()}
    shares.fill(path, found)
    return found


def files(folder: Path, step: int) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in manifest.place(folder, step).iterdir()}


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics_file.read(folder / "metrics.jsonl") if "loss" in line]


def assert_close(one: dict, other: dict, tolerance: float = 2e-5) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        if "calls" in name:  # of the network, which each process counts for itself
            continue
        torch.testing.assert_close(value, other[name], rtol=tolerance, atol=tolerance)


def last(folder: Path) -> dict:
    return tensors_of(load(checkpoints(folder / "checkpoints")[STEPS]))


@pytest.mark.slow
def test_shares_are_the_whole_tensors_and_two_killed_processes_go_on_with_them(ended, same, job, tmp_path):
    """Bit for bit in every step, though no file holds a whole matrix; killed after step 5 and begun again as well.

    What is put together at the end are the files of the other run, byte for byte.
    """
    ended(whole(job), tmp_path / "whole", 2)
    ended(job, tmp_path / "shares", 2, name="shares")
    ended(job, tmp_path / "killed", 2, killed=(1, 5), name="killed")
    assert list(manifest.places(tmp_path / "killed/shares")) == [1, 2, 3, 4, 5]
    ended(job, tmp_path / "killed", 2, name="again")
    for run in ("shares", "killed"):
        assert list(checkpoints(tmp_path / run / "checkpoints")) == [STEPS]
        assert files(tmp_path / run / "checkpoints", STEPS) == files(tmp_path / "whole/checkpoints", STEPS)
    for step, path in checkpoints(tmp_path / "whole/checkpoints").items():
        kept = load(path)
        for run in ("shares", "killed"):
            place = manifest.place(tmp_path / run / "shares", step)
            assert same(filled(place, tensors_of(kept)), tensors_of(kept)), (run, step)
            assert same(shares.read_state(place), kept.state), (run, step)
            assert len(list(place.glob("*.safetensors"))) == 2
            assert not (place / ".metadata").exists()


@pytest.mark.slow
def test_two_processes_become_one_and_one_becomes_two(ended, job, tmp_path):
    """The rest of the curve of one process, to the order of float32 additions; one process writes whole tensors again."""
    ended(whole(job), tmp_path / "one", 1)
    ended(job, tmp_path / "two-one", 2, killed=(0, 5), name="two")
    ended(job, tmp_path / "two-one", 1, name="then-one")
    ended(job, tmp_path / "one-two", 1, killed=(0, 2 * 4), name="first-one")
    assert list(checkpoints(tmp_path / "one-two/checkpoints")) == [1, 2, 3, 4]
    ended(job, tmp_path / "one-two", 2, name="then-two")
    reference = last(tmp_path / "one")
    assert_close(last(tmp_path / "two-one"), reference)
    assert_close(filled(manifest.place(tmp_path / "one-two/shares", STEPS), reference), reference)
    for run in ("two-one", "one-two"):
        assert losses(tmp_path / run) == pytest.approx(losses(tmp_path / "one"), rel=2e-5)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Shares of steps 1 and 2, written by this process alone."""
    folder = tmp_path_factory.mktemp("written")
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=0, world_size=1)
    try:
        from sde_diffusion.training import ProcessGroup

        world = ProcessGroup(0, 1, torch.distributed.group.WORLD)
        for step in (1, 2):
            shares.save(folder / "shares", step, tensors(step), {"step": step}, world)
    finally:
        torch.distributed.destroy_process_group()
    return folder / "shares"


def tensors(step: int) -> dict:
    return {"model:a": torch.arange(6.0).reshape(2, 3) * step, "optimizer:a/step": torch.tensor(float(step))}


@pytest.fixture
def place(written, tmp_path) -> Path:
    shutil.copytree(written, tmp_path / "shares")
    return tmp_path / "shares"


def test_what_is_saved_is_read(place):
    assert shares.latest(place) == place / "step-000002"
    found = filled(place / "step-000002", tensors(1))
    assert torch.equal(found["model:a"], tensors(2)["model:a"])
    assert found["optimizer:a/step"].item() == 2
    assert shares.latest(place / "nothing") is None


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_damage_is_noticed_and_the_one_before_is_found(place):
    newest = place / "step-000002"
    for name in names(newest):
        kept = (newest / name).read_bytes()
        half = len(kept) // 2
        for content in (None, kept[:-1], kept[:half] + bytes([kept[half] ^ 1]) + kept[half + 1 :]):
            (newest / name).unlink() if content is None else (newest / name).write_bytes(content)
            with pytest.warns(UserWarning, match="falling back to step-000001"):
                assert shares.latest(place) == place / "step-000001"
            (newest / name).write_bytes(kept)
    assert shares.latest(place) == newest


def test_no_pickle_is_ever_opened(place, tmp_path):
    """A pickle as torch.distributed.checkpoint's own metadata, or in the place of shares, beside the list and in it."""
    trap = pickle.dumps(Trap(tmp_path / "sprung"))
    newest = place / "step-000002"
    for name in (".metadata", "__0_0.distcp"):
        for listed in (False, True):
            (newest / name).write_bytes(trap)
            if listed:
                (newest / manifest.NAME).unlink()
                manifest.write(newest, 2)
            with pytest.raises(CheckpointError, match="is foreign"):
                shares.verify(newest)
            (newest / name).unlink()
    (newest / manifest.NAME).unlink()
    (one,) = newest.glob("*.safetensors")
    one.write_bytes(trap)
    manifest.write(newest, 2)
    shares.verify(newest)
    with pytest.raises(CheckpointError, match="holds no shares of tensors"):
        shares.fill(newest, tensors(1))
    assert not (tmp_path / "sprung").exists()
    pickle.loads(trap)
    assert (tmp_path / "sprung").exists(), "the trap does not work"


def test_shares_of_another_model_are_refused_before_a_tensor_changes(place):
    newest = place / "step-000002"
    for other in (
        {"model:a": torch.zeros(3, 2)}, {"model:a": torch.zeros(2, 3, dtype=torch.float64)}, {"model:b": torch.zeros(2, 3)}
    ):  # fmt: skip
        mine = {"optimizer:a/step": torch.tensor(9.0), **other}
        with pytest.raises(CheckpointError, match="is of another model: model:"):
            shares.fill(newest, mine)
        assert mine["optimizer:a/step"].item() == 9


def test_put_together_from_two_files_is_what_one_process_would_write(tmp_path, same):
    """Rows 0 and 1 from one process and row 2 from another, in the format of torch.distributed.checkpoint."""
    from sde_diffusion.training.checkpoints.put_together import put_together

    rows = torch.arange(6.0).reshape(3, 2)
    shards = {"model:a": rows, "ema:a": rows + 10, "optimizer:a/exp_avg": -rows}
    draft = manifest.place(tmp_path / "shares", 7)
    draft.mkdir(parents=True)
    for number, (begin, end) in enumerate(((0, 2), (2, 3)), 1):
        places = {name: {"saved_offsets": [begin, 0]} for name in shards}
        save_file(
            {name: value[begin:end].contiguous() for name, value in shards.items()},
            draft / f"shard-0000{number}-model-00001-of-00001.safetensors",
            {"format": "pt", "DCP_SHARDING_INFO": json.dumps(places), "DCP_VERSION": "1.0"},
        )
    (draft / "state.json").write_bytes(to_json({"step": 7}))
    manifest.write(draft, 7)
    shares.verify(draft)
    found = load(put_together(draft, tmp_path / "checkpoints"))
    assert same(tensors_of(found), shards)
    assert found.state == {"step": 7}


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_a_process_writes_at_most_sixteen_files_and_few_small_ones(processes):
    for sizes in ([5, 5], [10**9], [10**8] * 100, [2**27, 1, 1, 3 * 2**30] * 20):
        number = shares.files_of({str(n): size for n, size in enumerate(sizes)}, processes)
        assert list(number.values()) == sorted(number.values())
        assert 1 <= max(number.values()) <= shares.FILES + 1
        held = [sum(size for n, size in enumerate(sizes) if number[str(n)] == one) for one in set(number.values())]
        assert max(held) <= max(sum(sizes) / shares.FILES, processes * shares.SMALLEST) + max(sizes)


def test_snapshots_beside_shares_are_refused(tmp_path):
    from sde_diffusion.training import ProcessGroup

    with pytest.raises(ValueError, match="snapshot_every is 5, and snapshots are put together in each process"):
        store_for(tmp_path, {}, TrainSettings(snapshot_every=5), True, ProcessGroup(), in_shares=True)
    assert json.dumps(names(tmp_path)) == "[]"


def test_a_run_with_nothing_but_shares_is_refused_by_what_reads_models(written, tmp_path):
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    folder = tmp_path / "run"
    DiffusionModel.for_data(x, width=8, depth=1).fit(x, steps=2, batch_size=4, folder=folder)
    assert DiffusionModel.load(folder).event_shape == (2,)
    shutil.rmtree(folder / "checkpoints")
    shutil.copytree(written, folder / "shares", dirs_exist_ok=True)
    with pytest.raises(ValueError, match="has no checkpoint, but in shares: go on with its training in one process"):
        DiffusionModel.load(folder)
