"""What a check says, as data: pass or fail, by how much, the smallest counter-example, the likely cause, where to read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

PASSES, FAILS, REPORTS = "passes", "FAILS", "reports"
FULL, QUICK = "full", "quick"

FLOATS = "it takes floats alone (math): write its formulas with solvers.elementary, and those of states with torch"

Cause = str | Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: its name.
        verdict: "passes", "FAILS", or "reports" for a figure without a limit.
        error, allowed: by how much, and what would have passed, in the units that `note` or the check's text names.
        example: the smallest input that shows it.
        cause: the correction that makes the check pass, where one of the usual mistakes is it.
        read: where the equation is.
        note: what else was measured: an interval, or the smallest fault that the check would detect.
    """

    check: str
    verdict: str
    error: float
    allowed: float
    example: str = ""
    cause: str = ""
    read: str = ""
    note: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is a fault."""
        return self.verdict == FAILS


@dataclass(frozen=True)
class Report:
    """All findings on one subject."""

    subject: str
    level: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """No check failed."""
        return not self.failures

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The findings that are faults."""
        return tuple(finding for finding in self.findings if finding.failed)

    def __getitem__(self, check: str) -> Finding:
        """The finding of a check by its name. Raises KeyError."""
        return {finding.check: finding for finding in self.findings}[check]

    def __str__(self) -> str:
        """The report as text, faults with all that is known of them."""
        head = f"{self.subject}: {len(self.findings)} checks ({self.level}), {len(self.failures)} failed"
        return "\n".join([head, *(line for finding in self.findings for line in _lines(finding))])

    def to_json(self) -> str:
        """The report as JSON; a figure that is not finite is null."""
        record = {"subject": self.subject, "level": self.level, "ok": self.ok}
        findings = [{k: _number(v) for k, v in asdict(finding).items()} for finding in self.findings]
        return json.dumps({**record, "findings": findings}, indent=1)


def verdict(
    check: str,
    error: float,
    allowed: float,
    *,
    example: str = "",
    cause: Cause = "",
    read: str = "",
    note: str = "",
) -> Finding:
    """The finding for an error: it fails above `allowed`, or where it is not a number. A cause is searched for only then."""
    if error <= allowed:
        return Finding(check, PASSES, error, allowed, read=read, note=note)
    found = cause() if callable(cause) else cause
    return Finding(check, FAILS, error, allowed, example, found, read, note)


def reported(check: str, figure: float, note: str, read: str = "") -> Finding:
    """A figure without a limit, neither pass nor fail."""
    return Finding(check, REPORTS, figure, math.inf, read=read, note=note)


def run_checks(subject: str, level: str, checks: Iterable[tuple[str, Callable[[], Iterable[Finding]]]]) -> Report:
    """Run named checks; one that raises is a finding itself.

    Raises:
        ValueError: the level is neither quick nor full.
    """
    if level not in (QUICK, FULL):
        raise ValueError(f"a level is {QUICK!r} or {FULL!r}, got {level!r}; choose one")
    return Report(subject, level, tuple(finding for name, check in checks for finding in _guarded(name, check)))


def _guarded(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    try:
        yield from list(check())
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        cause = "it raised an error where it should answer"
        if "converted to Python scalars" in said:  # what `math` says of a tensor
            said, cause = "a tensor of several numbers", FLOATS
        yield Finding(name, FAILS, math.inf, 0.0, example=said, cause=cause)


def _lines(finding: Finding) -> Iterator[str]:
    limit = "" if math.isinf(finding.allowed) else f", allowed {finding.allowed:.2g}"
    yield f"  {finding.verdict:<7} {finding.check}: {finding.error:.3g}{limit}"
    if finding.note:
        yield f"          {finding.note}"
    if finding.failed:
        told = [("example", finding.example), ("likely cause", finding.cause), ("read", finding.read)]
        yield from (f"          {what}: {words}" for what, words in told if words)


def _number(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
