"""List what there is: processes, networks, samplers, data sets and the rest, with versions and devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sde_diffusion.plugins import KINDS, choices, summary
from sde_diffusion.specs import nearest

PICTURE = (3, 32, 32)

FIELD_NAMES: Mapping[str, str] = {
    "sde": "process", "solver": "sampler", "samplers": "sampler", "scheduler": "sampler", "integrator": "method",
    "model": "network", "backbone": "network", "data": "data set", "dataset": "data set", "loss": "objective",
    "law": "exact law", "grid": "spacing", "schedule": "spacing",
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What to list.

    Attributes:
        kind: one kind only, such as process, network or sampler; for networks also what each of their presets costs.
    """

    kind: str | None = None


def run(settings: Settings) -> None:
    """Print the tables."""
    from sde_diffusion.report.table import Table

    for kind in _kinds(settings.kind):
        if kind == "sampler":
            Table(("name", "form/method/steps/spacing"), samplers(), "sampler").print()
            continue
        rows = [(name, summary(thing)) for name, thing in choices(kind).items()]
        Table(("name", "what it is"), rows, kind).print()
        if settings.kind == "network":
            Table(("network", "preset", "parameters", "operations"), presets(), "presets, for (3, 32, 32)").print()
    if settings.kind is None:
        Table(("what", "which"), [*versions(), *devices()], "this machine").print()


def _kinds(kind: str | None) -> list[str]:
    if kind is None:
        return list(KINDS)
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}; {nearest(kind, KINDS, FIELD_NAMES)}")
    return [kind]


def samplers() -> list[tuple[str, str]]:
    """The samplers by name; any of them is an argument of `--sampler`."""
    from sde_diffusion.sampling.named import SAMPLERS

    return [(name, summary(make)) for name, make in SAMPLERS.items()]


def presets() -> list[tuple[str, str, str, str]]:
    """The networks' presets with what each one costs; none is computed or given memory.

    A network of an extra that is not installed has one row, which says how to install it.
    """
    rows = []
    for name, cls in choices("network").items():
        try:
            rows += [(name, preset, *_cost(cls, preset)) for preset in cls.presets]  # pyright: ignore
        except ImportError as error:
            rows.append((name, "all", str(error).partition("; ")[2] or str(error), ""))
    return rows


def _cost(cls, preset: str) -> tuple[str, str]:
    """The parameters and the operations of one evaluation, in words."""
    import torch

    from sde_diffusion.networks import cost

    with torch.device("meta"):
        network = cls.fitting(PICTURE, **cls.presets[preset])
    found = cost(network, PICTURE)
    return f"{found.parameters / 1e6:.1f} M", f"{found.flops / 1e9:.1f} G"


def versions() -> list[tuple[str, str]]:
    """Python, packages, platform and git state."""
    from sde_diffusion.training.run_folder import environment

    found = environment()
    git = found.get("git", {})
    rows = [("python", found["python"]), ("platform", found["platform"]), *sorted(found["packages"].items())]
    return [*rows, *([("git", git["commit"][:12])] if git else [])]


def devices() -> list[tuple[str, str]]:
    """The CPU's threads and the accelerators that torch sees, by the names that --device takes."""
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    others = [("mps", "Apple GPU")] if torch.backends.mps.is_available() else []
    return [
        ("cpu", f"{torch.get_num_threads()} threads"),
        *((f"cuda:{i}", name) for i, name in enumerate(names)),
        *others,
    ]
