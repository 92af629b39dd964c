"""A run's report, as one HTML file that asks nothing of the network, and as Markdown beside its pictures.

All text is escaped; the page has no script, and its content policy lets a browser load nothing but the pictures inside.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from sde_diffusion.report.table import Table, plain


@dataclass(frozen=True)
class Heading:
    """A heading of the second rank."""

    text: str

    def markdown(self, folder: Path) -> str:
        """A line that begins with ##."""
        return f"## {plain(self.text)}"

    def html(self) -> str:
        """An h2."""
        return f"<h2>{escape(self.text)}</h2>"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str

    def markdown(self, folder: Path) -> str:
        """The text."""
        return plain(self.text)

    def html(self) -> str:
        """A p."""
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Listing:
    """Text that keeps its lines, such as a configuration."""

    text: str

    def markdown(self, folder: Path) -> str:
        """An indented block: nothing in it can end it."""
        return "\n".join(f"    {line}" for line in self.text.splitlines())

    def html(self) -> str:
        """A pre."""
        return f"<pre>{escape(self.text)}</pre>"


@dataclass(frozen=True)
class Grid:
    """A table on the page."""

    table: Table

    def markdown(self, folder: Path) -> str:
        """The table's rows."""
        return self.table.markdown()

    def html(self) -> str:
        """The table."""
        return self.table.html()


@dataclass(frozen=True)
class Picture:
    """A PNG or GIF file with what it shows."""

    path: Path
    caption: str

    def markdown(self, folder: Path) -> str:
        """A link to the file, relative to the page's folder."""
        return f"![{plain(self.caption)}](<{self.path.relative_to(folder).as_posix()}>)"

    def html(self) -> str:
        """The picture itself, inside the page."""
        data = base64.b64encode(self.path.read_bytes()).decode("ascii")
        kind = self.path.suffix.removeprefix(".").lower()
        caption = escape(self.caption)
        image = f'<img src="data:image/{kind};base64,{data}" alt="{caption}">'
        return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


Block = Heading | Paragraph | Listing | Grid | Picture

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #8886; padding-bottom: .2rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { font-size: .9rem; opacity: .8; }
.scroll, pre { overflow-x: auto; }
pre { font-size: .85rem; padding: .8rem; border: 1px solid #8886; border-radius: 4px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #8884; text-align: left; }
.number { text-align: right; white-space: nowrap; }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_page(folder: Path, title: str, blocks: Sequence[Block]) -> tuple[Path, Path]:
    """Write report.md and report.html into the folder, which holds the pictures, and return both paths."""
    markdown, html = folder / "report.md", folder / "report.html"
    parts = [f"# {plain(title)}", *(block.markdown(folder) for block in blocks)]
    markdown.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    html.write_text(whole_page(title, "\n".join(block.html() for block in blocks)), encoding="utf-8")
    return markdown, html


def whole_page(title: str, body: str) -> str:
    """The HTML document around a body that is already safe."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )
