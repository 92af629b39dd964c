"""The samplers of the command line: the default, those that `compare` and `demo` take, and reading them from words.

`sde_diffusion.sampling.grammar` has the words in full. This module imports no torch, so that `--help` is quick.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sde_diffusion.sampling.sampler import Sampler

DEFAULT = "default"
"""The sampler of `sample` and `evaluate` unless another is named."""

COMPARED = ["default", "default_sde", "dpmpp_2m", "unipc", "heun", "ddim", "ddpm", "euler_maruyama"]
"""The samplers that `demo` and `compare` take unless others are named."""

SUFFIX = ".json"
"""How the name of a tuned solver's file ends."""


def sampler(text: str) -> Sampler:
    """The sampler of a name, of reversal/method/steps/spacing or of a file; ValueError for anything else."""
    from sde_diffusion.sampling.grammar import parse

    return parse(text)


def samplers(texts: Sequence[str]) -> list[Sampler]:
    """The samplers of several texts; ValueError when there are none, or two differ in nothing but their steps."""
    from sde_diffusion.sampling.grammar import parse_all

    return parse_all(texts)
