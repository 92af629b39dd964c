"""A table: the same rows on the terminal, in Markdown and on an HTML page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from sde_diffusion.io.terminal import say

_MARKUP = re.compile(r"[\\`*\[\]|#~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
"""What Markdown may read as more than a letter: an underscore only at the edge of a word."""

WIDTH = 140
"""Columns of text where there is no terminal to ask."""

_NUMBER = re.compile(r"[-+]?[0-9.]|-$|$")


@dataclass(frozen=True)
class Table:
    """Column heads and rows of text, one cell a head. `title` stands above it on the terminal."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.heads) for row in self.rows):
            raise ValueError(f"each row of a table has {len(self.heads)} cells, one for each head; fill the short ones")

    def print(self) -> None:
        """Write it on the terminal; never fails because of one (see `io.terminal.say`)."""
        from rich.box import ASCII, HEAVY_HEAD
        from rich.console import Console
        from rich.table import Table as Drawn
        from rich.text import Text

        terminal, text = Console(), io.StringIO()
        lines = HEAVY_HEAD if terminal.encoding.startswith("utf") else ASCII
        drawn = Drawn(title=Text(self.title), title_justify="left", title_style="bold", box=lines)
        for head, side in zip(self.heads, self.sides(), strict=True):
            drawn.add_column(Text(head), justify=side, overflow="fold")
        for row in self.rows:
            drawn.add_row(*map(Text, row))
        width = terminal.width if terminal.is_terminal else WIDTH
        Console(file=text, force_terminal=terminal.is_terminal, width=width).print(drawn)
        say(text.getvalue().rstrip("\n"))

    def markdown(self) -> str:
        """A Markdown table, its text escaped."""
        rule = [":--" if side == "left" else "--:" for side in self.sides()]
        lines = [map(plain, self.heads), rule, *(map(plain, row) for row in self.rows)]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def sides(self) -> list[Literal["left", "right"]]:
        """How each column is aligned: numbers right, words left."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.heads)
        return ["right" if column and all(map(_NUMBER.match, column)) else "left" for column in columns]


def plain(text: str) -> str:
    """Text that Markdown shows as it stands: in one line, no tags, no markup, no links."""
    shown = " ".join(escape(text, quote=False).split())
    return _MARKUP.sub(lambda mark: f"&#{ord(mark[0])};", shown)
