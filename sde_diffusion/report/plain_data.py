"""Results as JSON that every reader takes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sde_diffusion.io.atomic import to_json


def report_json(value: Any) -> bytes:
    """JSON of plain data, tuples as lists; a number that is not finite becomes null, for JSON has none."""
    return to_json(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value
