"""The usual image sets, read from small files that the tests write in the real formats.

torchvision compares md5 sums with those of the published files; the tests put the sums of theirs into its tables, so
that the comparison itself still runs, and a damaged file is refused.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from sde_diffusion.data import by_name, validate
from sde_diffusion.data.pixels import from_levels, to_levels

RNG = np.random.default_rng(0)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """The idx format: two zero bytes, type 8 (unsigned byte), the rank, the big-endian sizes, the bytes; gzipped."""
    return gzip.compress(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def pictures(n: int) -> np.ndarray:
    return RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8)


def idx_files(prefix: dict[str, str], arrays: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, bytes]:
    files = {}
    for split, (images, labels) in arrays.items():
        files[f"{prefix[split]}-images-idx3-ubyte.gz"] = idx(images)
        files[f"{prefix[split]}-labels-idx1-ubyte.gz"] = idx(labels)
    return files


def both_splits(classes: int, first: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        split: (pictures(n), RNG.integers(first, first + classes, n, dtype=np.uint8))
        for split, n in (("train", 7), ("held_out", 4))
    }


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.mark.parametrize(("name", "reader"), [("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)])
def test_the_mnist_family_is_read_from_gzipped_idx_files(name, reader, tmp_path, monkeypatch):
    arrays = both_splits(10)
    files = idx_files({"train": "train", "held_out": "t10k"}, arrays)
    write(tmp_path / reader.__name__ / "raw", files)
    monkeypatch.setattr(reader, "resources", [(file, md5(data)) for file, data in files.items()])
    source = by_name(name, root=str(tmp_path), download=True)
    for split, (images, labels) in arrays.items():
        x, y = source.tensors(split)
        validate(x, (1, 28, 28), (-1.0, 1.0))
        assert np.array_equal(to_levels(x)[:, 0].numpy(), images)
        assert y.tolist() == labels.tolist()
    assert torch.equal(source.batch(torch.tensor([6, 0]))[1], torch.from_numpy(arrays["train"][1])[[6, 0]].long())


def test_a_border_is_black_and_leaves_the_picture_in_the_middle(tmp_path, monkeypatch):
    arrays = both_splits(10)
    files = idx_files({"train": "train", "held_out": "t10k"}, arrays)
    write(tmp_path / "MNIST" / "raw", files)
    monkeypatch.setattr(datasets.MNIST, "resources", [(file, md5(data)) for file, data in files.items()])
    x = by_name("mnist", root=str(tmp_path), download=True, side=32).tensors()[0]
    assert np.array_equal(to_levels(x)[:, 0, 2:30, 2:30].numpy(), arrays["train"][0])
    x[:, :, 2:30, 2:30] = -1
    assert (x == -1).all()
    with pytest.raises(ValueError, match="even number of pixels"):
        by_name("mnist", root=str(tmp_path), side=31)


@pytest.mark.parametrize(("part", "first"), [("balanced", 0), ("letters", 1)])
def test_emnist_comes_in_a_zip_lies_on_its_side_and_counts_letters_from_one(part, first, tmp_path, monkeypatch):
    arrays = both_splits(26, first)
    files = idx_files({"train": f"emnist-{part}-train", "held_out": f"emnist-{part}-test"}, arrays)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for file, data in files.items():
            zipped.writestr(f"gzip/{file}", data)
    write(tmp_path / "EMNIST" / "raw", {"gzip.zip": archive.getvalue()})
    monkeypatch.setattr(datasets.EMNIST, "md5", md5(archive.getvalue()))
    source = by_name("emnist", root=str(tmp_path), download=True, part=part)
    assert source.classes == {"balanced": 47, "letters": 26}[part]
    for split, (images, labels) in arrays.items():
        x, y = source.tensors(split)
        assert np.array_equal(to_levels(x)[:, 0].numpy(), images.transpose(0, 2, 1))
        assert y.tolist() == (labels.astype(int) - first).tolist()


def test_the_parts_of_emnist_have_torchvisions_classes(tmp_path):
    for part, names in datasets.EMNIST.classes_split_dict.items():
        assert by_name("emnist", root=str(tmp_path), part=part).classes == len([n for n in names if n != "N/A"])
    with pytest.raises(ValueError, match="a part of EMNIST is one of byclass"):
        by_name("emnist", root=str(tmp_path), part="runes")


@pytest.fixture
def cifar(tmp_path, monkeypatch):
    """Five pickled batches, one test batch and the table of names, with their md5 sums; the arrays by split."""
    arrays, sums, files = {"train": [], "held_out": []}, {}, {}
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for name in names:
        data, labels = RNG.integers(0, 256, (3, 3072), dtype=np.uint8), RNG.integers(0, 10, 3).tolist()
        files[name] = pickle.dumps({"batch_label": name, "data": data, "labels": labels, "filenames": ["a", "b", "c"]})
        arrays["held_out" if name == "test_batch" else "train"].append((data, labels))
    files["batches.meta"] = pickle.dumps({"label_names": list("abcdefghij"), "num_vis": 3072})
    sums = {name: md5(data) for name, data in files.items()}
    write(tmp_path / "cifar-10-batches-py", files)
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, sums[name]] for name in names[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", meta)
    return {
        split: (np.concatenate([d for d, _ in parts]), [label for _, labels in parts for label in labels])
        for split, parts in arrays.items()
    }


def test_cifar10_is_read_from_its_pickles_channel_by_channel(cifar, tmp_path):
    source = by_name("cifar10", root=str(tmp_path))
    for split, (data, labels) in cifar.items():
        x, y = source.tensors(split)
        validate(x, (3, 32, 32), (-1.0, 1.0))
        assert np.array_equal(to_levels(x).flatten(1).numpy(), data)
        assert y.tolist() == labels


def test_a_changed_pickle_is_refused_before_it_is_opened(cifar, tmp_path):
    canary = tmp_path / "canary"

    class Evil:
        def __reduce__(self):
            return Path.touch, (canary,)

    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(pickle.dumps({"data": Evil()}))
    with pytest.raises(ValueError, match=r"CIFAR-10 cannot be read from .* corrupted"):
        by_name("cifar10", root=str(tmp_path)).tensors()
    assert not canary.exists()


FACES = {"train": 3, "held_out": 2}


@pytest.fixture
def celeba(tmp_path, monkeypatch):
    """Portraits with the five lists of CelebA; the pictures' arrays in the order of the lists."""
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names, arrays = [f"{i:06d}.jpg" for i in range(1, 7)], []
    for name in names:
        coarse = Image.fromarray(RNG.integers(0, 256, (11, 9, 3), dtype=np.uint8))
        coarse.resize((178, 218), Image.Resampling.BILINEAR).save(folder / "img_align_celeba" / name, quality=95)
        arrays.append(folder / "img_align_celeba" / name)
    partition = [0, 2, 0, 1, 2, 0]
    smiling = [1, -1, -1, 1, 1, -1]
    lists = {
        "list_attr_celeba.txt": [
            "6",
            "Bald Smiling Young ",
            *(f"{n} -1  {'' if s < 0 else ' '}{s}  1" for n, s in zip(names, smiling, strict=True)),
        ],
        "identity_CelebA.txt": [f"{n} {i}" for i, n in enumerate(names)],
        "list_bbox_celeba.txt": ["6", "image_id x_1 y_1 width height", *(f"{n}  95  71 226 313" for n in names)],
        "list_landmarks_align_celeba.txt": [
            "6",
            "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y",
            *(f"{n} 69  109  106  113   77  142   73  152  108  154" for n in names),
        ],
        "list_eval_partition.txt": [f"{n} {p}" for n, p in zip(names, partition, strict=True)],
    }
    files = {name: ("\n".join(lines) + "\n").encode() for name, lines in lists.items()}
    write(folder, files)
    monkeypatch.setattr(datasets.CelebA, "file_list", [("", md5(data), name) for name, data in files.items()])
    return {"train": ([arrays[i] for i in (0, 2, 5)], [1, 0, 0]), "held_out": ([arrays[i] for i in (1, 4)], [0, 1])}


def cropped(path: Path, box: tuple[int, int, int, int], side: int) -> np.ndarray:
    with Image.open(path) as file:
        picture = file.convert("RGB").crop(box).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(picture).transpose(2, 0, 1)


def test_celeba_is_cropped_resized_and_labelled_by_its_lists(celeba, tmp_path):
    source = by_name("celeba", root=str(tmp_path), side=16)
    for split, (paths, labels) in celeba.items():
        x, y = source.tensors(split)
        validate(x, (3, 16, 16), (-1.0, 1.0))
        assert y.tolist() == labels
        expected = np.stack([cropped(path, (19, 39, 159, 179), 16) for path in paths])
        assert np.array_equal(to_levels(x).numpy(), expected)
    with pytest.raises(ValueError, match="an attribute of CelebA is one of Bald, Smiling, Young, got 'Evil'"):
        by_name("celeba", root=str(tmp_path), attribute="Evil").size()
    with pytest.raises(ValueError, match="crop from 1 to 178"):
        by_name("celeba", root=str(tmp_path), crop=200)


@pytest.fixture
def folder(tmp_path):
    """Eight pictures of two classes and several kinds; wide ones are 12 x 8, tall ones 8 x 10."""
    for name, (mode, size) in {"cats": ("RGB", (12, 8)), "ants": ("L", (8, 10))}.items():
        (tmp_path / name).mkdir()
        for i in range(4):
            shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
            Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_a_folder_of_pictures_is_read_square_and_split_once(folder):
    source = by_name("image_folder", root=str(folder), side=8, held_out=0.25)
    assert (source.size("train"), source.size("held_out"), source.classes) == (6, 2, 2)
    boxes = {"ants": (0, 1, 8, 9), "cats": (2, 0, 10, 8)}
    expected = {
        from_levels(torch.from_numpy(cropped(path, boxes[path.parent.name], 8).copy())).numpy().tobytes(): label
        for label, name in enumerate(["ants", "cats"])
        for path in sorted((folder / name).iterdir())
    }
    parts = [source.tensors(split) for split in ("train", "held_out")]
    seen = {x.numpy().tobytes(): int(y) for xs, ys in parts for x, y in zip(xs, ys, strict=True)}
    assert seen == expected
    again = by_name("image_folder", root=str(folder), side=8, held_out=0.25)
    assert torch.equal(again.tensors()[0], parts[0][0])
    other = by_name("image_folder", root=str(folder), side=8, held_out=0.25, seed=1)
    assert not torch.equal(other.tensors()[0], parts[0][0])


def test_pictures_are_read_when_asked_for(folder):
    """A file that breaks after the listing harms only the batch that holds it, and is named there."""
    source = by_name("image_folder", root=str(folder), side=8)
    broken = [str(path) for path in source.files("train")[0]].index(str(folder / "cats" / "2.png"))
    (folder / "cats" / "2.png").write_bytes(b"no picture")
    assert len(source.batch(torch.tensor([i for i in range(source.size()) if i != broken]))[0]) == source.size() - 1
    with pytest.raises(ValueError, match=r"cats.2.png' cannot be read as a picture"):
        source.batch(torch.tensor([broken]))
    assert source.batch(torch.tensor([], dtype=torch.int64))[0].shape == (0, 3, 8, 8)


def test_a_folder_that_cannot_serve_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match=r"a folder of pictures cannot be read from .*nowhere"):
        by_name("image_folder", root=str(tmp_path / "nowhere")).size()
    with pytest.raises(ValueError, match="held_out is a share"):
        by_name("image_folder", root=str(folder), held_out=1.0)
    for path in [*(folder / "cats").iterdir(), *sorted((folder / "ants").iterdir())[1:]]:
        path.unlink()
    (folder / "cats").rmdir()
    with pytest.raises(ValueError, match="holds 1 picture; give at least 2"):
        by_name("image_folder", root=str(folder)).size()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "emnist", "cifar10", "celeba"])
def test_missing_files_are_a_sentence_that_names_the_folder(name, tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read from .*check the folder") as caught:
        by_name(name, root=str(tmp_path)).size()
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_idx_file_is_refused(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    files = idx_files({"train": "train", "held_out": "t10k"}, both_splits(10))
    write(raw, {name.removesuffix(".gz"): gzip.decompress(data)[:-900] for name, data in files.items()})
    with pytest.raises(ValueError, match="MNIST cannot be read"):
        by_name("mnist", root=str(tmp_path)).tensors()


@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_files_are_found_gzipped_or_not(tmp_path, suffix):
    arrays = both_splits(10)
    files = idx_files({"train": "train", "held_out": "t10k"}, arrays)
    plain = {name.removesuffix(".gz"): gzip.decompress(data) for name, data in files.items()}
    write(tmp_path / "FashionMNIST" / "raw", files if suffix else plain)
    source = by_name("fashion_mnist", root=str(tmp_path))
    for split, (images, labels) in arrays.items():
        x, y = source.tensors(split)
        assert np.array_equal(to_levels(x)[:, 0].numpy(), images)
        assert y.tolist() == labels.tolist()


WRONG = {
    "another size": ("images", np.zeros((7, 32, 32), np.uint8), r"items of shape \(32, 32\), not \(28, 28\)"),
    "another rank": ("images", np.zeros((7, 784), np.uint8), r"items of shape \(784,\), not \(28, 28\)"),
    "fewer labels": ("labels", np.zeros(6, np.uint8), "6 labels up to 0 for 7 pictures of 10 classes"),
    "another label": ("labels", np.full(7, 10, np.uint8), "7 labels up to 10 for 7 pictures of 10 classes"),
}


@pytest.mark.parametrize("case", WRONG)
def test_idx_files_of_another_kind_are_refused(tmp_path, case):
    kind, array, words = WRONG[case]
    files = idx_files({"train": "train", "held_out": "t10k"}, both_splits(10))
    name = f"train-{kind}-idx{'3' if kind == 'images' else '1'}-ubyte.gz"
    write(tmp_path / "MNIST" / "raw", {**files, name: idx(array)})
    with pytest.raises(ValueError, match=rf"MNIST cannot be read from .*{words}"):
        by_name("mnist", root=str(tmp_path)).tensors()


@pytest.mark.parametrize("cut", [3, 10, 200])
@pytest.mark.parametrize("more", [b"", b"\0"])
def test_idx_files_cut_off_or_too_long_are_refused(tmp_path, cut, more):
    files = idx_files({"train": "train", "held_out": "t10k"}, both_splits(10))
    whole = gzip.decompress(files["train-images-idx3-ubyte.gz"])
    write(tmp_path / "MNIST" / "raw", {**files, "train-images-idx3-ubyte": whole + more if more else whole[:cut]})
    with pytest.raises(ValueError, match=r"MNIST cannot be read from .*train-images-idx3-ubyte: its? "):
        by_name("mnist", root=str(tmp_path)).tensors()
