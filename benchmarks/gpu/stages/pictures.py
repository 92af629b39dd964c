"""The pictures that the later stages train on: Fashion-MNIST, or the digits of scikit-learn where its files are not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from benchmarks.gpu.stage import Job
from sde_diffusion.data.digits import Digits
from sde_diffusion.data.mnist import FashionMNIST

ROOT = Path(__file__).resolve().parents[3]
VARIABLE = "FASHION_MNIST"
PLACES = ("shared/data/fashion-mnist", "../shared/data/fashion-mnist")
"""Where the files are looked for, from the repository, when no folder is given."""
FIRST = "train-images-idx3-ubyte.gz"


@dataclass(frozen=True)
class Pictures:
    """Images (N, 1, H, W) in [-1, 1] and their labels (N,), to train on and held out; what they are."""

    name: str
    x: Tensor
    labels: Tensor
    held_out: Tensor


def pictures(job: Job) -> tuple[Pictures, str]:
    """The pictures, few of them in a quick run; a sentence where they are not Fashion-MNIST.

    Raises ValueError for files that are damaged.
    """
    folder, said = folder_of(job), ""
    if folder is None:
        source, name = Digits(), "digits of scikit-learn, 8 x 8"
        said = (
            f"Fashion-MNIST is not there, so the pictures are the 8 x 8 digits of scikit-learn: give the folder of {FIRST} and its "
            f"three companions with --data or in {VARIABLE}."
        )
        (x, labels), (held_out, _) = source.tensors("train"), source.tensors("held_out")
    else:
        name = "Fashion-MNIST, 28 x 28 with a border of 2"
        with as_torchvision_has_it(folder) as root:
            source = FashionMNIST(root, side=32)
            (x, labels), (held_out, _) = source.tensors("train"), source.tensors("held_out")
    assert labels is not None
    few = job.scaled(300, len(x))
    return Pictures(name, x[:few], labels[:few], held_out[: job.scaled(60, 2000)]), said


def folder_of(job: Job) -> Path | None:
    """The folder with the idx files: the one that was given, else the first of the usual ones that has them.

    Raises ValueError for a given folder without them.
    """
    given = job.data or os.environ.get(VARIABLE, "")
    for place in [Path(given).expanduser()] if given else [ROOT / place for place in PLACES]:
        for folder in (place, place / "FashionMNIST" / "raw"):
            if (folder / FIRST).is_file() or (folder / FIRST).with_suffix("").is_file():
                return folder.resolve()
    if given:
        raise ValueError(f"no {FIRST} is in the given folder {Path(given).name}; give the folder of the idx files")
    return None


@contextmanager
def as_torchvision_has_it(folder: Path) -> Iterator[str]:
    """A root for the length of the block whose FashionMNIST/raw is the folder."""
    with tempfile.TemporaryDirectory() as root:
        place = Path(root) / "FashionMNIST"
        place.mkdir()
        (place / "raw").symlink_to(folder, target_is_directory=True)
        yield root
