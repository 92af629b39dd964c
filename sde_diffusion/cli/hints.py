"""What people type who know another program, and what it is called here. A hint that is followed works."""

from __future__ import annotations

import re
from collections.abc import Mapping

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "lr": ("training.learning_rate",),
    "learning_rate": ("training.learning_rate",),
    "training.lr": ("training.learning_rate",),
    "training.epochs": ("training.steps",),
    "epochs": ("training.steps",),
    "num_epochs": ("training.steps",),
    "max_steps": ("training.steps",),
    "iterations": ("training.steps", "iterations"),
    "bs": ("training.batch_size", "chunk"),
    "batch": ("training.batch_size", "chunk"),
    "batch_size": ("training.batch_size", "chunk"),
    "grad_clip": ("training.clip",),
    "max_grad_norm": ("training.clip",),
    "ema": ("training.ema_decay",),
    "n": ("count",),
    "num": ("count",),
    "num_samples": ("count",),
    "n_samples": ("count",),
    "samples": ("count",),
    "num_steps": ("steps", "training.steps"),
    "num_inference_steps": ("steps",),
    "n_steps": ("steps", "training.steps"),
    "nfe": ("nfe", "steps"),
    "class": ("label",),
    "class_label": ("label",),
    "y": ("label",),
    "scheduler": ("sampler", "samplers"),
    "solver": ("sampler", "samplers"),
    "sampler": ("sampler", "samplers"),
    "model": ("network", "run"),
    "arch": ("network",),
    "dataset": ("data",),
    "data_dir": ("data.root",),
    "root": ("data.root",),
    "out": ("out", "output"),
    "outdir": ("output",),
    "output_dir": ("output",),
    "precision": ("compute.precision",),
    "fp16": ("compute.precision",),
    "seed": ("training.seed", "seed"),
    "noise_schedule": ("sde",),
}
"""The names of options in other programs, and ours, in the order in which a command's own options are looked up."""

SENTENCES: Mapping[str, str] = {
    "epochs": "training is counted in steps of a batch, not in epochs",
    "num_epochs": "training is counted in steps of a batch, not in epochs",
    "training.epochs": "training is counted in steps of a batch, not in epochs",
    "fp16": "write --compute.precision bfloat16",
}
"""What must be known beside our name."""

MISSING: Mapping[str, str] = {
    name: 'write sample RUN --label 3 --guidance "cfg(weight=3)"; `info --kind guidance` lists others'
    for name in ("guidance", "guidance_scale", "cfg", "cfg_scale", "w")
}
"""What a command does not take by this name, and what to write."""

DEVICES: Mapping[str, str] = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps"}

OWN_FILES = (
    "for data of your own write --data FILE.npy (or .npz, .safetensors, .csv, .tsv, .parquet) or --data FOLDER "
    "of pictures or of .npy and .wav signals"
)
_FILE = re.compile(r"\.(txt|pt|pth|h5|hdf5|mat|json|xlsx?|pkl|png|jpe?g|wav)$", re.IGNORECASE)
_READERS = {"csv", "npy", "npz", "numpy", "np", "table", "tsv", "array", "tensor", "torch", "pandas", "parquet", "hdf5",
            "h5", "file", "custom", "own", "my_data"}  # fmt: skip


def data_hint(name: str) -> str | None:
    """What to write for data of one's own, where a name or a path is none that the command line reads; None for others."""
    if _FILE.search(name):
        return f"the command line does not read {name[:100]!r}; save it as .npy or .csv: {OWN_FILES}"
    if name.replace("-", "_").lower() in _READERS:
        return f"no data set is called {name[:100]!r}: {OWN_FILES}"
    if "/" in name and "(" not in name:
        return f"there is no folder {name[:100]!r}: {OWN_FILES}"
    return None


def option_hint(word: str, known: list[str]) -> str | None:
    """The hint for an option that the command does not have, by the field's name for it; None where there is none."""
    spelt = word.replace("-", "_").lower()
    if spelt in MISSING:
        return MISSING[spelt]
    ours = next((name for name in OPTIONS.get(spelt, ()) if name in known), None)
    if ours is None:
        return None
    more = f" ({SENTENCES[spelt]})" if spelt in SENTENCES else ""
    return f"did you mean {ours!r}?{more}"
