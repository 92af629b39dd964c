"""A run's report: one HTML file that loads nothing from the network, and Markdown beside its pictures.

jinja2 escapes all text. The page has no script, and its content security policy allows nothing but the images inside.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sde_diffusion.io.atomic import replace_file
from sde_diffusion.report.table import Table, plain


@dataclass(frozen=True)
class Heading:
    """A heading of the second level."""

    text: str
    kind: ClassVar[str] = "heading"

    def markdown(self, folder: Path) -> str:
        """A line that begins with ##."""
        return f"## {plain(self.text)}"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str
    kind: ClassVar[str] = "paragraph"

    def markdown(self, folder: Path) -> str:
        """The text."""
        return plain(self.text)


@dataclass(frozen=True)
class Listing:
    """Text that keeps its lines, such as commands or a configuration."""

    text: str
    kind: ClassVar[str] = "listing"

    def markdown(self, folder: Path) -> str:
        """An indented block: no text inside can end it."""
        return "\n".join(f"    {line}" for line in self.text.splitlines())


@dataclass(frozen=True)
class Grid:
    """A table on the page."""

    table: Table
    kind: ClassVar[str] = "grid"

    def markdown(self, folder: Path) -> str:
        """The table's rows."""
        return self.table.markdown()


@dataclass(frozen=True)
class Picture:
    """A PNG or GIF file and its caption."""

    path: Path
    caption: str
    kind: ClassVar[str] = "picture"

    def markdown(self, folder: Path) -> str:
        """A link to the file, relative to the page's folder."""
        return f"![{plain(self.caption)}](<{self.path.relative_to(folder).as_posix()}>)"

    def source(self) -> str:
        """The file itself as a data URL."""
        data = base64.b64encode(self.path.read_bytes()).decode("ascii")
        return f"data:image/{self.path.suffix.removeprefix('.').lower()};base64,{data}"


Block = Heading | Paragraph | Listing | Grid | Picture

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy|safe }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { line-height: 1.2; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #8886; padding-bottom: .2rem; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { font-size: .9rem; opacity: .8; }
.scroll, pre { overflow-x: auto; }
pre { font-size: .85rem; padding: .8rem; border: 1px solid #8886; border-radius: 4px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #8884; text-align: left; }
.right { text-align: right; white-space: nowrap; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for block in blocks %}
{% if block.kind == "heading" %}<h2>{{ block.text }}</h2>
{% elif block.kind == "paragraph" %}<p>{{ block.text }}</p>
{% elif block.kind == "listing" %}<pre>{{ block.text }}</pre>
{% elif block.kind == "picture" %}<figure><img src="{{ block.source() }}" alt="{{ block.caption }}">
<figcaption>{{ block.caption }}</figcaption></figure>
{% else %}{% set sides = block.table.sides() %}<div class="scroll"><table>
<thead><tr>{% for cell in block.table.heads %}<th class="{{ sides[loop.index0] }}">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in block.table.rows %}
<tr>{% for cell in row %}<td class="{{ sides[loop.index0] }}">{{ cell }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% endif %}
{% endfor %}
</body>
</html>
"""


def write_page(folder: Path, title: str, blocks: Sequence[Block]) -> tuple[Path, Path]:
    """Write report.md and report.html into the folder, which holds the pictures, and return both paths."""
    from jinja2 import Environment

    markdown, html = folder / "report.md", folder / "report.html"
    parts = [f"# {plain(title)}", *(block.markdown(folder) for block in blocks)]
    replace_file(markdown, ("\n\n".join(parts) + "\n").encode())
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE)
    replace_file(html, page.render(title=title, blocks=blocks, policy=POLICY).encode())
    return markdown, html
