"""A table: the same rows on the terminal, in a Markdown page and in an HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


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
        """Write it on the terminal."""
        from rich.console import Console
        from rich.table import Table as Drawn
        from rich.text import Text

        drawn = Drawn(title=Text(self.title), title_justify="left", title_style="bold")
        for index, head in enumerate(self.heads):
            drawn.add_column(Text(head), justify="left" if index == 0 else "right", overflow="fold")
        for row in self.rows:
            drawn.add_row(*map(Text, row))
        Console().print(drawn)

    def markdown(self) -> str:
        """A Markdown table, its text made harmless."""
        rule = [":--", *["--:"] * (len(self.heads) - 1)]
        lines = [map(plain, self.heads), rule, *(map(plain, row) for row in self.rows)]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def html(self) -> str:
        """An HTML table, its text escaped."""
        head = "".join(f"<th>{escape(text)}</th>" for text in self.heads)
        rows = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in self.rows)
        return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def plain(text: str) -> str:
    """Text that Markdown shows as it stands: in one line, no tags, no markup, no links."""
    shown = " ".join(escape(text, quote=False).split())
    for mark in "\\`*_[]|#~":
        shown = shown.replace(mark, f"&#{ord(mark)};")
    return shown
