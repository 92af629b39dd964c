"""Every sentence about faults names its tests (`claims`), and neither changes or vanishes without the other."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.faults.claims import CLOSING, CODES, DOCSTRINGS, OPENING, TRAINING_FAULTS
from tests.faults.conftest import ROOT
from tests.faults.table import WORDS


def sentences_of(text: str) -> list[str]:
    """The sentences of a page, its headings and tables left out."""
    found = []
    for part in re.split(r"\n\s*\n|\n(?=- )", text):
        if not part.lstrip().startswith(("#", "|")):
            line = " ".join(part.split()).removeprefix("- ")
            found += re.split(r"(?<=[.)])\s+(?=[A-Z*`0-9\[])", line)
    return [sentence for sentence in found if sentence]


@cache
def words(path: str) -> str:
    """A file's text on one line."""
    return " ".join((ROOT / path).read_text(encoding="utf-8").replace("#", " ").split())


@cache
def functions(path: str) -> list[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_sentence_of_the_page_has_its_tests():
    page = (ROOT / "docs/training-faults.md").read_text(encoding="utf-8")
    assert sentences_of(page) == [*TRAINING_FAULTS]


def test_every_exit_code_has_its_tests():
    lines = (ROOT / "docs/training-faults.md").read_text(encoding="utf-8").splitlines()
    assert [line.strip("| ") for line in lines if re.match(r"\| \d", line)] == [*CODES]


def test_every_sentence_around_the_table_has_its_tests():
    """And the page has them."""
    above, _, below = WORDS.partition("{table}")
    assert sentences_of(above) == [*OPENING]
    assert sentences_of(below.partition("({machine}).")[2]) == [*CLOSING]
    page = " ".join((ROOT / "docs/faults.md").read_text(encoding="utf-8").split())
    assert all(sentence in page for sentence in (*OPENING, *CLOSING))


@pytest.mark.parametrize("path", sorted({path for path, _ in DOCSTRINGS}))
def test_a_docstring_says_what_is_tested(path):
    for where, sentence in DOCSTRINGS:
        assert where != path or sentence in words(path), sentence


@pytest.mark.parametrize(
    "claims",
    [TRAINING_FAULTS, CODES, OPENING, CLOSING, DOCSTRINGS],
    ids=["page", "codes", "opening", "closing", "docstrings"],
)
def test_every_test_of_a_claim_exists(claims):
    for sentence, tests in claims.items():
        assert tests, f"no test: {sentence}"
        for test in tests:
            file, _, beginning = test.partition("::")
            assert any(name.startswith(beginning) for name in functions(file)), test


def test_a_sentence_that_nobody_tests_is_noticed():
    text = "# Title\n\nA claim: it holds. Another one\nis new.\n\n| a | table. B |\n\n- A bullet.\n"
    assert sentences_of(text) == ["A claim: it holds.", "Another one is new.", "A bullet."]
