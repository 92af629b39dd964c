"""The page: the card, the goals, and for each stage what it found and what did not work, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.gpu.goals import GOALS, MISSED, UNKNOWN
from benchmarks.gpu.record import DONE, LONGEST, without_folders
from benchmarks.gpu.stage import STAGES, Stage

COMMAND = "python -m benchmarks.gpu"
ABOUT = (
    f"What this project claims of a GPU, measured by one command within 480 seconds: `{COMMAND}`. "
    "[How to read it](../benchmarks/README.md#a-gpu-does-it-work-and-how-fast-is-it)."
)
NO_GPU = f"No GPU has been at hand: nothing below is measured. On a machine with one, `{COMMAND}` makes this page."
ON_CPU = "This run was on a CPU. Its figures say that every line runs, and nothing of a GPU."

Found = Mapping[str, Mapping[str, Any]]
"""By the names of the stages: the entries of their records, and `said`, `seconds` and `date`."""


def page(found: Found, stages: Sequence[Stage] = STAGES) -> str:
    """The whole page; that of a machine without a GPU where nothing was found."""
    lines = ["# On a GPU", "", ABOUT, "", *head(found), "", *goals(found)]
    for stage in stages:
        lines += ["", f"## {stage.title}", "", *section(found.get(stage.name, {}))]
    return "\n".join(lines) + "\n"


def head(found: Found) -> Iterator[str]:
    """On what, and when; one block for each card, should the stages have run on several."""
    cards: dict[str, list[str]] = {}
    for name, one in found.items():
        facts = one.get("card") or {}
        said = ", ".join(f"{key} {value}" if key != "card" else value for key, value in facts.items())
        cards.setdefault(said, []).append(f"{name} {one.get('date', '')}".strip())
    if not cards:
        yield NO_GPU
    for said, names in cards.items():
        yield f"- {escaped(said) or 'unknown card'} ({escaped(', '.join(names))})"
    if on_cpu(found):
        yield from ("", ON_CPU)


def on_cpu(found: Found) -> bool:
    """Whether any stage ran on a CPU."""
    return any((one.get("card") or {}).get("card", "").startswith("CPU") for one in found.values())


def goals(found: Found) -> Iterator[str]:
    """The table of the goals, and a sentence on how many are met."""
    figures = {name: one.get("figures", {}) for name, one in found.items()}
    verdicts = [goal.verdict(figures) for goal in GOALS]
    missed, unknown = verdicts.count(MISSED), verdicts.count(UNKNOWN)
    yield from ("## Goals", "")
    yield f"{len(GOALS) - missed - unknown} of {len(GOALS)} are met, {missed} missed, {unknown} not measured."
    yield from ("", "| what | goal | found | |", "|---|---|---|---|")
    for goal, verdict in zip(GOALS, verdicts, strict=True):
        value = goal.found(figures)
        shown = "" if value is None else goal.shown(value)
        yield f"| {goal.said} | {goal.bound} {goal.shown(goal.value)} | {shown} | {verdict} |"


def section(one: Mapping[str, Any]) -> Iterator[str]:
    """What one stage found."""
    if not one:
        yield "Not measured."
        return
    said = f" It ended early: {escaped(one['said'])}." if one.get("said") else ""
    yield f"{one.get('seconds', 0):.0f} seconds.{said}"
    for table in one.get("tables", []):
        yield from (
            "",
            f"**{escaped(table['title'])}**",
            "",
            row(table["columns"]),
            "|" + "---|" * len(table["columns"]),
        )
        yield from map(row, table["rows"])
    for picture in one.get("pictures", []):
        yield from ("", f"![{escaped(picture)}]({picture_path(picture)})")
    notes = [*one.get("notes", []), *unfinished(one)]
    if notes:
        yield ""
        yield from (f"- {escaped(note)}" for note in notes)


def unfinished(one: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each part that did not come to its end."""
    parts = one.get("parts", {})
    for name in [*parts, *(name for name in one.get("planned", []) if name not in parts)]:
        state = parts.get(name, "not begun")
        if state != DONE:
            yield f"{name}: {state}"


def row(cells: Sequence[Any]) -> str:
    """A line of a table."""
    return "| " + " | ".join(escaped(str(cell)) for cell in cells) + " |"


def picture_path(name: str) -> str:
    """Beside the page, in its folder of pictures."""
    return f"pictures/{name}"


def escaped(text: str) -> str:
    """The text in one line, so that Markdown shows it as it is; without the folders of a machine, and not too long."""
    line = without_folders(" ".join(text.split()))
    line = line if len(line) <= 2 * LONGEST else line[: 2 * LONGEST] + "..."
    return re.sub(r"([\\`*_\[\]<>|#$~])", r"\\\1", line)
