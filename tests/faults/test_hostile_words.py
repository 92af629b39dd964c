"""Configurations and names made to do harm: each refused in a sentence within a second.

`tests/cli/test_cli_refusals.py` has the shorter kinds, and the names of runs; here are those that are made to last.
"""

from __future__ import annotations

import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sde_diffusion.cli import yaml_text
from sde_diffusion.cli.main import main
from sde_diffusion.cli.yaml_text import LONGEST
from sde_diffusion.report.plots.cost import Line, Panel, cost_plot
from tests.cli.conftest import TINY, few_resamples, refused
from tests.cpu_limit import cpu_limit

__all__ = ["few_resamples", "refused"]

LAUGHS = "a0: &a0 [ha]\n" + "".join(f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(9))
TEXTS = {
    "a billion laughs": LAUGHS,
    "an alias of itself": "sde: &a [*a]\n",
    "merged aliases": "a: &a {x: 1}\nb: {<<: [*a, *a]}\n",
    "5000 brackets": "sde: " + "[" * 5000 + "]" * 5000,
    "5000 braces": "sde: " + "{a: " * 5000 + "}" * 5000,
    "5000 dashes": "sde: \n" + "- " * 5000 + "1\n",
    "5000 brackets that stay open": "sde: " + "[" * 5000,
    "a deep block": "\n".join(" " * depth + "a:" for depth in range(300)),
    "questions": "? " * 5000 + "a\n",
    "python/object/apply": "sde: !!python/object/apply:os.mkdir [canary]\n",
    "python/object/new": "sde: !!python/object/new:os.mkdir [canary]\n",
    "python/name": "sde: !!python/name:os.mkdir\n",
    "python/module": "sde: !!python/module:this\n",
    "tag:yaml.org": "sde: !<tag:yaml.org,2002:python/object/apply:os.mkdir> [canary]\n",
    "a tag by a directive": "%TAG ! tag:yaml.org,2002:python/\n---\nsde: !object/apply:os.mkdir [canary]\n",
    "two documents": "sde: vp\n---\nsde: ve\n",
    "a NUL": "sde: v\0p\n",
    "no UTF-8": b"sde: \xff\xfe\n",
    "a list as long as may be": "sde: [" + "1," * ((LONGEST - 8) // 2) + "]",
    "keys as many as may be": "".join(f"k{number}: 1\n" for number in range(3000)),
    "dashes as many as may be": "- 1\n" * (LONGEST // 4),
    "a number of 5000 digits": f"training: {{steps: {'9' * 5000}}}\n",
    "a number of 30000 digits in base 16": f"training: {{steps: 0x{'f' * 30000}}}\n",
    "a number of 15000 digits in base 60": "training: {steps: 1" + ":1" * 15000 + "}\n",
    "a float of 30000 digits": f"training: {{learning_rate: 1e{'9' * 30000}}}\n",
    "an unknown key": "training: {learnign_rate: 1e-4}\n",
    "a list for a number": "training: {steps: [1, 2]}\n",
    "a word for a number": "training: {steps: many}\n",
    "a float for a count": "training: {steps: 1.5}\n",
    "a mapping for a name": "name: {a: 1}\n",
}


@pytest.mark.thinned(3)
@pytest.mark.parametrize("kind", TEXTS)
def test_a_configuration_is_refused_within_a_second(refused, tmp_path, kind):
    """CPU seconds of this process, from the command to the sentence; the best of three, for the first may import."""
    text, seconds = TEXTS[kind], []
    (tmp_path / "run.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    for _ in range(3):
        start = time.process_time()
        said = refused("train", *TINY, "--config", "run.yaml")
        seconds.append(time.process_time() - start)
        assert len(said) < 900
    assert min(seconds) < cpu_limit(1)
    assert [path.name for path in tmp_path.iterdir()] == ["run.yaml"]


def test_a_small_float_is_a_float():
    for text in ("1e-4", "1E-4", "1.e-4", "+1e-4"):
        value = yaml_text.load(f"learning_rate: {text}")["learning_rate"]
        assert (value, type(value)) == (1e-4, float)


class Page(HTMLParser):
    """The tags and attributes of a page; whether anything in it acts or asks."""

    ACTS = {
        "script",
        "iframe",
        "object",
        "embed",
        "form",
        "base",
        "link",
        "svg",
        "math",
        "audio",
        "video",
        "a",
        "button",
    }

    def __init__(self, text: str) -> None:
        super().__init__()
        self.acts: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        refreshes = tag == "meta" and any(name == "http-equiv" and value == "refresh" for name, value in attrs)
        if tag in self.ACTS or refreshes:
            self.acts.append(tag)
        for name, value in attrs:
            asks = name in ("src", "href", "srcset", "action", "data", "style") and not (value or "").startswith(
                "data:image/"
            )
            if asks or name.startswith("on"):
                self.acts.append(f"{tag} {name}={value!r:.60}")

    def handle_data(self, data):
        self.words.append(data)


def test_the_reader_of_pages_notices_what_acts():
    for text in (
        "<script>alert(1)</script>", "<img src=x>", '<p onclick="a()">', '<a href="javascript:a()">x</a>',
        '<meta http-equiv="refresh" content="0">', '<img src="javascript:a()">', "<svg/onload=a()>",
    ):  # fmt: skip
        assert Page(text).acts


EVIL = (
    "<script>alert(1)<／script> \u2028\u2029 javascript:alert(1) <img src=x onerror=alert(1)> & \"' --> ]]> $\\nothing$"
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph")  # the font of the figures knows few letters
def test_the_page_of_a_run_with_an_evil_name_is_inert(tmp_path, monkeypatch, capsys):
    """The whole `demo` into a folder whose name is a program; there is no browser here, so the page is parsed."""
    monkeypatch.chdir(tmp_path)
    wanted = ["demo", *TINY, "--samplers", "[ancestral/4]", "--output", EVIL]
    assert main(wanted) == 0, capsys.readouterr().err
    text = (Path(EVIL) / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.acts == []
    assert EVIL in "".join(page.words)
    assert "default-src 'none'" in text


def test_a_dollar_in_a_title_begins_no_formula(tmp_path):
    """The name of a run's folder is the title of its figure."""
    lines = [Line("a", [1, 2], [1.0, 0.1])]
    assert cost_plot([Panel("t", "y", lines)], tmp_path / "x.png", r"a$\nothing$").stat().st_size > 5000
