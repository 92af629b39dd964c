"""Guidances by name with arguments, such as cfg(weight=3)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.resolver import build
from sde_diffusion.specs import parse

Guide = Callable[[Denoiser], Denoiser]
"""What a guidance makes of a denoiser."""


def by_name(words: str, model: Any) -> Guide:
    """The guidance that `words` name, for a `DiffusionModel`; `bad` of autoguidance is the folder of another one, read once.

    Raises ValueError for a name or an argument that there is none of, a `bad` model of samples of another shape, and for a
    model that was trained without dropping its condition.
    """
    if re.fullmatch(r"[-+.\d]+", words):
        raise ValueError(f"a guidance is a name with arguments, got {words}; write cfg(weight={words})")
    part, given = parse(words), dict[str, Any]()
    if "bad" in part:
        given["Worse"] = _worse(str(part.pop("bad")), model)
    elif model.condition_columns is not None:
        model.condition_columns.refuse_none()

    def guide(denoiser: Denoiser) -> Denoiser:
        return build("guidance", part, given | {"Denoiser": denoiser})

    guide(model.denoiser)  # refused here, before anything is written
    return guide


def _worse(folder: str, model: Any) -> Denoiser:
    found = type(model).load(folder, device=model.device)
    if found.event_shape != model.event_shape:
        raise ValueError(
            f"the bad model {folder} is of samples of shape {tuple(found.event_shape)}, and this one of "
            f"{tuple(model.event_shape)}; name one of the same data"
        )
    return found.denoiser
