"""Reading YAML from anybody: plain data only, refused before it is built when it could do more than say what it is.

Aliases and anchors can make a short text expand without bound, tags can name Python objects, deep nesting can exhaust
the stack. None of them belongs in a configuration, and a key is given once. Numbers follow YAML 1.2: `1e-4` is a float,
`1:30` and `1_000` are texts, `0o17` is 15.

References:
    YAML Ain't Markup Language 1.2, 2021, https://yaml.org/spec/1.2.2, section 10.3.2 (integers and floats)
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
_INTEGER = re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$")
_OLD = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "float", "int", "merge", "value")}


class _Loader(yaml.SafeLoader):
    """Safe loading without dates and merge keys (`<<`), its numbers those of YAML 1.2, in which no mapping gives a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; ValueError for a key that is there twice, of which the first would be lost."""
        known: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in known:
                    raise ValueError(f"line {key.start_mark.line + 1} gives {key.value!r} a second time; give it once")
                known.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        """An integer of YAML 1.2: decimal, octal with 0o or hexadecimal with 0x."""
        text = str(node.value)
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Loader.yaml_implicit_resolvers = {
    first: [(tag, rule) for tag, rule in rules if tag not in _OLD]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole)


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
