"""Shares become a checkpoint of whole tensors, on the disk: one tensor is in memory at a time, and no model."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

from sde_diffusion.io.atomic import new_folder
from sde_diffusion.io.tensor_file import write_tensors
from sde_diffusion.training.checkpoints import checkpoint, manifest, shares
from sde_diffusion.training.errors import first_line


def put_together(path: Path, folder: Path) -> Path:
    """Write `folder/step-NNNNNN` of the shares in `path`, which were verified: the files that one process would write.

    Raises OSError of one sentence, and leaves nothing behind, when it cannot be written; CheckpointError for other files.
    """
    step = manifest.step_of(path)
    place = manifest.place(folder, step)
    try:
        with new_folder(place) as draft, shares.opened(path) as opened:
            for part, file in checkpoint.FILES.items():
                kinds = {
                    name.partition(":")[2]: kind for name, kind in opened.kinds.items() if name.startswith(f"{part}:")
                }
                if kinds or part in checkpoint.NEEDED:
                    write_tensors(draft / file, kinds, lambda name, part=part: opened.whole(f"{part}:{name}"))
            (draft / checkpoint.STATE).write_bytes((path / checkpoint.STATE).read_bytes())
            manifest.write(draft, step)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise OSError(
            f"{place} was not put together ({first_line(error)}); its shares stand: make room, then resume"
        ) from error
    return place
