"""Fragments of Python code as sequences of tokens: compared and replaced whatever their layout.

Spaces, line breaks, comments, the kind of quotes, trailing commas and brackets around the whole of a statement's
expression make no difference. A fragment need be no complete expression.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache

_TOKEN = re.compile(
    r"""
    (?P<blank>  [ \t]+ | \\\n | \#[^\n]* )
  | (?P<line>   \n[ \t]* )
  | (?P<literal>
        (?:[rRbBfFuU]{0,2}) (?: \"{3}(?:[^\\]|\\.)*?\"{3} | '{3}(?:[^\\]|\\.)*?'{3}
                              | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' )
      | 0[xXoObB][\da-fA-F_]+ | (?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?[jJ]? )
  | (?P<word>   \w+ )
  | (?P<sign>   \*\*= | //= | >>= | <<= | \.\.\. | [-+*/%&|^@=<>!:]= | -> | \*\* | // | << | >> | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING, _CLOSING = set("([{"), set(")]}")
_BEFORE_AN_EXPRESSION = {"=", "return", "in", "if", "elif", "while", "assert", "+=", "-=", "*=", "/=", "@="}
_BRACKETS_NEEDED = {":=", "for", "yield"}  # a walrus, a generator


@dataclass(frozen=True)
class Token:
    """A piece of code, and what stands for it in comparisons: None for a line break or a trailing comma."""

    text: str
    key: str | None


def tokens(code: str) -> list[Token]:
    """The tokens of a piece of code; a line break inside brackets is none."""
    found: list[Token] = []
    depth = 0
    for match in _TOKEN.finditer(code):
        kind, text = match.lastgroup, match.group()
        if kind == "blank" or (kind == "line" and depth > 0):
            continue
        depth = max(0, depth + (text in _OPENING) - (text in _CLOSING))
        if found and ((text in _CLOSING and found[-1].text == ",") or (kind == "line" and _is_line(found[-1]))):
            last = found.pop()
            found += [] if kind == "line" else [Token(last.text, None)]
        found.append(Token(text, None if kind == "line" else _key(text) if kind == "literal" else text))
    return found


def _is_line(token: Token) -> bool:
    return token.text.startswith("\n")


@cache
def _key(literal: str) -> str:
    """The value of a number or a string, whatever its quotes."""
    return ast.dump(ast.parse(literal, mode="eval"))


def without_outer_brackets(found: list[Token]) -> list[Token]:
    """`return (a + b)` as `return a + b`: the brackets that only serve to break a line."""
    gone = {place for pair in _outer_brackets(found) for place in pair}
    return [token for place, token in enumerate(found) if place not in gone]


def _outer_brackets(found: list[Token]) -> list[tuple[int, int]]:
    """The places of brackets that hold all between the start of an expression and the end of its statement."""
    pairs, opened = [], []
    for place, token in enumerate(found):
        if token.text in _OPENING:
            opened.append(place)
        elif token.text in _CLOSING and opened:
            first = opened.pop()
            before, after = found[first - 1].text if first else "", found[place + 1] if place + 1 < len(found) else None
            ends = after is None or _is_line(after) or after.text in (":", "=")
            inside = {inner.text for inner in found[first + 1 : place]}
            if (
                token.text == ")"
                and before in _BEFORE_AN_EXPRESSION
                and ends
                and inside
                and not inside & _BRACKETS_NEEDED
            ):
                pairs.append((first, place))
    return pairs


def places(fragment: list[Token], code: list[Token]) -> list[slice]:
    """Where the fragment stands in the code."""
    wanted = [token.key for token in fragment if token.key is not None]
    there = [(place, token.key) for place, token in enumerate(code) if token.key is not None]
    keys = [key for _, key in there]
    starts = [i for i in range(len(keys) - len(wanted) + 1) if wanted and keys[i : i + len(wanted)] == wanted]
    return [slice(there[i][0], there[i + len(wanted) - 1][0] + 1) for i in starts]


def replaced(code: list[Token], place: slice, new: str) -> str:
    """The code with `new` in one place. The lines of `new` are indented like the line in which it begins."""
    indentation = next((token.text for token in reversed(code[: place.start]) if _is_line(token)), "\n")
    fragment = [Token(indentation + t.text[1:], None) if _is_line(t) else t for t in tokens(new.strip("\n"))]
    return _text([*code[: place.start], *fragment, *code[place.stop :]])


def _text(found: list[Token]) -> str:
    return "".join(token.text if _is_line(token) else f"{token.text} " for token in found)
