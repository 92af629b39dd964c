"""A run's folder says how the run was made.

    runs/NAME/config.json                the caller's configuration; put the seed in it
    runs/NAME/versions.json              a list: Python, packages, platform, threads and git commit at the start, and at each
                                         resumption where they had changed
    runs/NAME/metrics.jsonl              the reports, one a line, and between them what callbacks found, by step
    runs/NAME/checkpoints/step-000500/   see `checkpoint`
    runs/NAME/snapshots/step-000500/     see `snapshots`
    runs/NAME/best/step-000500/          see `best`
    runs/NAME/pictures/, loss_by_level.json and .png, tensorboard/
                                         what callbacks drew (see `sde_diffusion.callbacks`)
    runs/NAME/lock                       held by the process that trains

Nothing here needs torch.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sde_diffusion.io.atomic import create_file, replace_file, to_json
from sde_diffusion.io.git import commit as git_commit
from sde_diffusion.io.plain import as_read_back, flat, read_json
from sde_diffusion.training.settings import NOT_WEIGHT_DETERMINING

_PACKAGES = (
    "sde-diffusion",
    "torch",
    "numpy",
    "safetensors",
    "scipy",
    "torchvision",
    "pillow",
    "scikit-learn",
    "torchsde",
    "torchdiffeq",
    "diffusers",
    "torchmetrics",
    "torch-fidelity",
)
"""Those that decide numbers: weights, pictures that were resized, samples, metrics."""

_TOLD_OTHERWISE = ("data.root", "data.path", "start.folder", "condition_dropout")
MAY_CHANGE = (*(f"training.{name}" for name in NOT_WEIGHT_DETERMINING), *_TOLD_OTHERWISE)
"""What of the command line's configuration may change when a run goes on: what has moved is known by its digest, and a model
with a condition keeps its dropout in the checkpoints' fingerprint. Runs from before there were conditions know none.
"""


@dataclass(frozen=True)
class RunFolder(os.PathLike):
    """The places in a run's folder; `create` makes one. It may be given wherever a path is asked for."""

    path: Path

    @classmethod
    def create(cls, path: str | os.PathLike, config: dict[str, Any], may_change: Collection[str] = MAY_CHANGE) -> Self:
        """Make the folder of a run, or find it again for the same configuration, whose `may_change` it then takes over.

        Raises ValueError when the folder holds another run or something else, TypeError when `config` is not JSON.
        """
        run = cls.check(path, config, may_change)
        wanted = _normal(config)
        run.path.mkdir(parents=True, exist_ok=True)
        if not create_file(run.config_file, to_json(wanted)):
            _refuse_other(run, wanted, may_change)
            if run.config() != wanted:
                replace_file(run.config_file, to_json(wanted))
        run._record(environment())
        return run

    @classmethod
    def check(cls, path: str | os.PathLike, config: dict[str, Any], may_change: Collection[str] = MAY_CHANGE) -> Self:
        """What `create` gives and raises, with nothing written."""
        run, wanted = cls(Path(path)), _normal(config)
        if run.config_file.exists():
            _refuse_other(run, wanted, may_change)
            run.versions()
        elif run.path.exists():
            _refuse_foreign(run.path)
        return run

    def __fspath__(self) -> str:
        """The path."""
        return os.fspath(self.path)

    @property
    def config_file(self) -> Path:
        """The caller's configuration."""
        return self.path / "config.json"

    @property
    def versions_file(self) -> Path:
        """What the run was made with."""
        return self.path / "versions.json"

    @property
    def metrics_file(self) -> Path:
        """The reports."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def shares(self) -> Path:
        """The folder of checkpoints in shares."""
        return self.path / "shares"

    @property
    def snapshots(self) -> Path:
        """The folder of snapshots."""
        return self.path / "snapshots"

    @property
    def best(self) -> Path:
        """The folder of the best averages."""
        return self.path / "best"

    def config(self) -> dict[str, Any]:
        """The configuration that the run was made with; ValueError when its file is damaged."""
        return _read(self.config_file, dict)

    def check_config(self, recorded: dict[str, Any], may_change: Collection[str] = MAY_CHANGE) -> dict[str, Any]:
        """`config()`, which may differ from the one `recorded` with the model in `may_change` alone, else ValueError."""
        config = self.config()
        found = _difference(config, recorded, may_change)
        if found is not None:
            raise ValueError(
                f"{self.config_file} is not the configuration of this run's model: {found[0]} is {found[1]} there and "
                f"{found[2]} in the model's record; restore the file, or train in another folder"
            )
        return config

    def versions(self) -> list[dict[str, Any]]:
        """The environments that the run was made in, the first one first."""
        return _read(self.versions_file, list) if self.versions_file.exists() else []

    def _record(self, now: dict[str, Any]) -> None:
        """Add an environment that is not the last one; a warning names what of it may change the last bits of the weights."""
        known = self.versions()
        if known and (changed := _changes(known[-1], now)):
            warnings.warn(
                f"{self.path} goes on in another environment ({'; '.join(changed)}), so that its weights may differ from those "
                "of a run in one; restore the environment where they matter to the last bit",
                stacklevel=2,
            )
        if not known or known[-1] != now:
            replace_file(self.versions_file, to_json([*known, now]))


def environment() -> dict[str, Any]:
    """Versions of Python and the packages, the platform, the threads of torch where it is in use, and the git commit.

    The commit is that of the working directory, if it has one.
    """
    found = {name: _version(name) for name in _PACKAGES}
    packages = {name: version for name, version in found.items() if version is not None}
    commit = git_commit(Path.cwd())
    made_with = {"packages": packages, "platform": platform.platform(), "python": platform.python_version()}
    threads = {"threads": torch.get_num_threads()} if (torch := sys.modules.get("torch")) else {}
    return made_with | threads | ({} if commit is None else {"git": {"commit": commit}})


def _changes(before: Any, now: dict[str, Any]) -> list[str]:
    """What of an environment is now another, the git commit apart; what only one of both notes is not compared."""
    old, new = flat(before), flat(now)
    names = sorted(name for name in old.keys() & new.keys() if old[name] != new[name] and not name.startswith("git."))
    return [f"{name.removeprefix('packages.')} was {old[name]} and is {new[name]}" for name in names]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _refuse_foreign(path: Path) -> None:
    others = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith(".") and entry.name != "lock")
    if others:
        raise ValueError(f"{path} holds {others[0]!r} and no config.json, so it is no run; take an empty folder")


def _refuse_other(run: RunFolder, wanted: dict[str, Any], may_change: Collection[str]) -> None:
    found = _difference(run.config(), wanted, may_change)
    if found is not None:
        raise ValueError(
            f"{run.path} holds another run: {found[0]} is {found[1]} there and {found[2]} here; "
            "take another folder, or ask for the same"
        )


def _difference(there: Any, here: Any, may_change: Collection[str]) -> tuple[str, str, str] | None:
    """The first name in which two configurations differ, `may_change` apart, with both values; None for equal ones."""
    old, new = flat(there), flat(here)
    for key in sorted(old.keys() | new.keys(), key=lambda key: (not key, key)):
        if old.get(key) != new.get(key) and not _among(key, may_change):
            return key or "its content", old.get(key, "absent")[:100], new.get(key, "absent")[:100]
    return None


def _among(key: str, names: Collection[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)


def _normal(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration as it will be read back: tuples as lists, keys as strings."""
    if not isinstance(config, dict):
        raise TypeError(f"config is a dict, got {type(config).__name__}; give dataclasses.asdict of it")
    try:
        return as_read_back(config)
    except (TypeError, ValueError) as error:
        raise TypeError(f"config holds what JSON cannot ({error}); use numbers, strings, lists and dicts") from error


def _read(path: Path, kind: type) -> Any:
    try:
        found = read_json(path)
        if not isinstance(found, kind):
            raise ValueError(f"it holds no {kind.__name__}")
        return found
    except ValueError as error:
        raise ValueError(f"{path} is damaged; restore it from a backup or take another folder") from error
