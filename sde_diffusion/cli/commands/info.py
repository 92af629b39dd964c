"""List what there is: processes, networks, solvers, data sets and the rest, with versions and devices."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.cli import registry as catalogue
from sde_diffusion.cli.sampler_specs import NAMED

PICTURE = (3, 32, 32)


@dataclass(frozen=True)
class Settings:
    """What to list.

    Attributes:
        kind: one kind only, such as process or network.
    """

    kind: str | None = None


def run(settings: Settings) -> None:
    """Print the tables."""
    from sde_diffusion.report.table import Table

    for kind in _kinds(settings.kind):
        rows = [(name, catalogue.summary(thing)) for name, thing in catalogue.KINDS[kind]().items()]
        Table(("name", "what it is"), rows, kind).print()
    if settings.kind in (None, "network"):
        Table(("network", "preset", "parameters", "operations"), presets(), "presets, for events (3, 32, 32)").print()
    if settings.kind is None:
        Table(("name", "recipe"), list(NAMED.items()), "named sampler").print()
        Table(("what", "which"), [*versions(), *devices()], "this machine").print()


def _kinds(kind: str | None) -> list[str]:
    if kind is None:
        return list(catalogue.KINDS)
    if kind not in catalogue.KINDS:
        raise ValueError(f"there is no kind {kind!r}; {catalogue.nearest(kind, catalogue.KINDS)}")
    return [kind]


def presets() -> list[tuple[str, str, str, str]]:
    """The networks' presets with what each one costs; none is computed or given memory."""
    import torch

    from sde_diffusion.networks import by_name, cost, names

    rows = []
    for name, preset in ((name, preset) for name in names() for preset in by_name(name).presets):
        cls = by_name(name)
        with torch.device("meta"):
            network = cls.fitting(PICTURE, **cls.presets[preset])
        found = cost(network, PICTURE)
        rows.append((name, preset, f"{found.parameters / 1e6:.1f} M", f"{found.flops / 1e9:.1f} G"))
    return rows


def versions() -> list[tuple[str, str]]:
    """Python, packages, platform and git state."""
    from sde_diffusion.training.run_folder import environment

    seen = environment()
    git = seen.get("git", {})
    rows = [("python", seen["python"]), ("platform", seen["platform"]), *sorted(seen["packages"].items())]
    return [*rows, *([("git", git["commit"][:12])] if git else [])]


def devices() -> list[tuple[str, str]]:
    """The CPU's threads and the GPUs that torch sees."""
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [("cpu", f"{torch.get_num_threads()} threads"), *((f"cuda:{i}", name) for i, name in enumerate(names))]
