"""Reading YAML from anybody: plain data only, refused before it is built when it could do more than say what it is.

Aliases and anchors can make a short text expand without bound, tags can name Python objects, deep nesting can exhaust
the stack. None of them belongs in a configuration. Numbers follow YAML 1.2: `1e-4` is a float.

References:
    YAML Ain't Markup Language 1.2, 2021, https://yaml.org/spec/1.2.2, section 10.3.2 (floats)
"""

from __future__ import annotations

import re
from typing import Any

import yaml

LONGEST = 2**15
"""Characters of the longest text that is read."""

DEEPEST = 16
"""The deepest nesting that is read."""

_OPENING = (
    yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken,
)  # fmt: skip
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
_REFUSED = {yaml.AliasToken: "an alias (*name)", yaml.AnchorToken: "an anchor (&name)", yaml.TagToken: "a tag (!name)"}
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """Safe loading without dates, its floats those of YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:float")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def load(text: str) -> Any:
    """The value of a YAML text; ValueError for one that is too long, too deep, no YAML, or holds a refused feature."""
    if len(text) > LONGEST:
        raise ValueError(f"a configuration has at most {LONGEST} characters, got {len(text)}; shorten it")
    try:
        _check(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(f"this is no YAML: {' '.join(str(error).split())}; correct it") from error


def _check(text: str) -> None:
    depth = 0
    for token in yaml.scan(text):
        feature = _REFUSED.get(type(token))
        if feature:
            line = token.start_mark.line + 1
            raise ValueError(f"line {line} holds {feature}, and a configuration is plain data; write the value itself")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > DEEPEST:
            raise ValueError(f"the text nests deeper than {DEEPEST} levels; flatten it")
