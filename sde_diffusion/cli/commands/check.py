"""Check your own process, denoiser, method or sampler: what fails, by how much, and the likely cause."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.cli.options import positional

LEVELS = ("quick", "full")


@dataclass(frozen=True)
class Settings:
    """What to check.

    Attributes:
        subject: module:name of a class, an instance or a function that makes one, such as my_package.my_module:MySDE.
        level: quick (seconds) or full (under a minute).
        json: a file for the report as JSON; "-" prints it in the place of the text.
    """

    subject: str = positional()
    level: str = "quick"
    json: str | None = None

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"a level is quick or full, got {self.level!r}; choose one")


def run(settings: Settings) -> int:
    """Print the report; 0 when every check passed, 1 when one failed."""
    from sde_diffusion.cli.folders import folder_of
    from sde_diffusion.io.atomic import replace_file
    from sde_diffusion.io.terminal import say
    from sde_diffusion.testing import check, load

    report = check(load(settings.subject), settings.level)
    if settings.json not in (None, "-"):
        replace_file(folder_of(str(settings.json)), report.to_json().encode())
    say(report.to_json() if settings.json == "-" else report)
    return 0 if report.ok else 1
