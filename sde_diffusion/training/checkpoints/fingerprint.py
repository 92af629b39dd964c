"""What tells one run from another, so that a checkpoint is resumed only where going on is exact."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.io.atomic import to_json
from sde_diffusion.training.checkpoints.manifest import CheckpointError
from sde_diffusion.training.settings import TrainSettings

_ROWS = 256


def fingerprint(settings: TrainSettings, data: Tensor, labels: Tensor | None, label_dropout: float) -> dict[str, Any]:
    """The numbers that decide the weights and the digests of the data: what JSON holds, and reads back the same."""
    known = {"data": digest(data), "labels": "none"}
    if labels is not None:
        known |= {"labels": digest(labels), "label_dropout": label_dropout}
    return settings.weight_determining() | known


def check_fingerprint(there: object, here: dict[str, Any], source: Path) -> None:
    """Raises CheckpointError unless `source`, which says that it is of the run `there`, is of this one."""
    if not isinstance(there, dict):
        raise CheckpointError(f"{source} is foreign: it does not say which run it is of")
    differing = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    if differing:
        name = differing[0]
        raise CheckpointError(
            f"{source} is of another run: {name} is {there.get(name)} there and {here.get(name)} here; "
            "ask for the same, or train in another folder"
        )


def digest(table: Tensor) -> str:
    """SHA-256 of the shape, the dtype and up to 256 rows, evenly spaced, of a table (N, *E): quick, on any device."""
    spaced = torch.linspace(0, len(table) - 1, min(_ROWS, len(table)), dtype=torch.float64).round().long()
    rows = table.detach()[spaced.to(table.device)].cpu().contiguous()
    head = to_json([list(table.shape), str(table.dtype)])
    return hashlib.sha256(head + rows.view(torch.uint8).numpy().tobytes()).hexdigest()
