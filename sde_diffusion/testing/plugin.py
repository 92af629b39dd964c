"""The pytest plugin: `pytest --sde my_package.my_module:MySDE` adds one test for each check of the kit.

`--conformance` says the same of a denoiser, a method or a sampler. Nothing is imported before one of them is given: this
module is loaded by every pytest of an environment in which this distribution is installed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The subjects and the level."""
    group = parser.getgroup("sde_diffusion", "conformance kit of sde_diffusion")
    for option, words in (("--sde", "check a process"), ("--conformance", "check a denoiser, a method, a sampler")):
        group.addoption(
            option, action="append", default=[], metavar="MODULE:NAME", dest=f"kit_{option[2:]}", help=words
        )
    group.addoption("--conformance-level", choices=("quick", "full"), default="quick", help="how thorough: quick")


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the checks of every subject to the tests that were collected."""
    given = config.option
    for word in [*given.kit_sde, *given.kit_conformance]:
        items.extend(_checks(session, word, given.conformance_level))


def _checks(session: pytest.Session, word: str, level: str) -> list[pytest.Item]:
    import pytest

    from sde_diffusion.testing.subject import check, load

    try:
        report = check(load(word), level)
    except (ValueError, TypeError) as error:
        raise pytest.UsageError(str(error)) from error
    return [_item().from_parent(session, name=f"{word} {found.check}", finding=found) for found in report.findings]


@cache
def _item() -> Any:
    """The class of a finding as a test; made late, for pytest is no dependency of the library."""
    import pytest

    class Check(pytest.Item):
        def __init__(self, *, finding: Any, **given: Any) -> None:
            super().__init__(**given)
            self.finding = finding

        def runtest(self) -> None:
            if self.finding.failed:
                pytest.fail(_words(self.finding), pytrace=False)

        def reportinfo(self) -> tuple[Any, int | None, str]:
            return self.path, None, self.name

    return Check


def _words(found: Any) -> str:
    told = {"example": found.example, "likely cause": found.cause, "read": found.read, "note": found.note}
    head = f"{found.check}: {found.error:.3g}, allowed {found.allowed:.2g}"
    return "\n".join([head, *(f"{what}: {words}" for what, words in told.items() if words)])
