"""Names of another library's methods: known, or refused with the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def check_name(engine: str, name: str, known: Sequence[str]) -> None:
    """Raises ValueError, with the known name nearest to it, for a name that is not among the known ones."""
    if name in known:
        return
    by_case = {k.casefold(): k for k in known}
    near = difflib.get_close_matches(str(name).casefold(), by_case, n=1, cutoff=0.0)
    raise ValueError(f"{engine} has no method {name!r}; did you mean {by_case[near[0]]!r}? known: {', '.join(known)}")
