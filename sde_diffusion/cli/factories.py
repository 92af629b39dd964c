"""The components of a run from its configuration: `resolver.build` with what the program measured on the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from sde_diffusion import resolver
from sde_diffusion.cli.config import AUTO
from sde_diffusion.cli.hints import data_hint
from sde_diffusion.plugins import annotation, choices, choose, parameters
from sde_diffusion.specs import Spec, nearest

if TYPE_CHECKING:
    from torch import nn

    from sde_diffusion.cli.config import RunConfig
    from sde_diffusion.data import DataSource
    from sde_diffusion.data.augmentation import Augmentation
    from sde_diffusion.denoisers.base import Denoiser, Preconditioned
    from sde_diffusion.exact import Law
    from sde_diffusion.metrics import Classifier, Extractor
    from sde_diffusion.parameterization import Parameterization
    from sde_diffusion.reversal import Reversal
    from sde_diffusion.sde import LinearSDE
    from solvers import Method


class DataFacts(Protocol):
    """What the components must know of the data: the shape of one sample, its standard deviation, its classes."""

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        ...

    @property
    def std(self) -> float:
        """The standard deviation over all numbers, in the coordinates in which the network works."""
        ...

    @property
    def classes(self) -> int | None:
        """How many classes the data have, or None."""
        ...


Begin = Callable[[int, Callable[[], Any]], Any]
"""(seed, make) -> the network that `make` makes, its first weights a function of the seed."""


@dataclass(frozen=True)
class Components:
    """What training needs beside the data: the process, the denoiser before its first step, and the loss."""

    sde: LinearSDE
    denoiser: Preconditioned
    objective: Callable[..., Any]


def components(config: RunConfig, facts: DataFacts, begin: Begin | None = None) -> Components:
    """The components of a configuration for data of these facts; the weights are a function of the configuration's seed.

    `begin`: see `network`.

    Raises ValueError, in a sentence, for names or arguments that are unknown, and for other classes than the data have.
    """
    from sde_diffusion.denoisers.base import Preconditioned

    wanted = config.part("network").get("classes")
    if wanted is not None and wanted != facts.classes:
        raise ValueError(f"the data have {facts.classes or 'no'} classes, the network {wanted}; make them equal")
    sde = process(config.part("sde"))
    backbone = network(config.part("network"), facts.event_shape, config.training.seed, sde, begin)
    denoiser = Preconditioned(backbone, parameterization(config.part("parameterization"), facts.std))
    return Components(sde, denoiser, objective(config.part("objective"), facts.std))


def with_network(config: RunConfig, source: DataSource) -> RunConfig:
    """The configuration with the network that suits the data, where it asks for `auto`; arguments beside it win.

    Any network is made for the condition that the data have. Raises ValueError for one that takes none, or another one.
    """
    from sde_diffusion.networks.choose import options_for

    part = config.part("network")
    if part["name"] == AUTO:
        name, options = options_for(source.event_shape)
        labels = {} if source.classes is None else {"classes": source.classes}
        part = {**options, **labels, **part, "name": name}
    return replace(config, network=_with_context(part, source.condition_names or ()))


def _with_context(part: Spec, names: Sequence[str]) -> Spec:
    """The network's spec with the size of its condition."""
    size = len(names) + 1 if names else 0
    if part.get("context", size) != size:
        raise ValueError(
            f"the data have {len(names) or 'no'} numbers as their condition, for which the network has context={size}, got "
            f"{part['context']}; leave network.context out"
        )
    if names and "context" not in [p.name for p in parameters(choose("network", part["name"]))]:
        raise ValueError(
            f"the network {part['name']} takes no condition ({', '.join(names)}); choose mlp, unet or dit, or leave the "
            "condition out"
        )
    return {**part, "context": size} if names else part


def process(part: Spec) -> LinearSDE:
    """The forward process."""
    return resolver.build("process", part)


def parameterization(part: Spec, data_std: float) -> Parameterization:
    """The meaning of the network's output, for data of this standard deviation unless the spec has another."""
    return resolver.build("parameterization", part, usual={"data_std": data_std})


def network(
    part: Spec, event_shape: tuple[int, ...], seed: int, sde: LinearSDE | None = None, begin: Begin | None = None
) -> nn.Module:
    """The network for samples of this shape, its weights a function of the seed; the global generator is left as it was.

    The argument `preset` stands for the arguments that the network has under this name; others beside it win. A network
    that numbers the noise levels of a chain gets those of the process. `begin`: called (seed, make), gives what `make` makes
    under the seed, `sharing.run.seeded` unless given.
    """
    from sde_diffusion.sharing.run import seeded

    cls = choose("network", part["name"])
    part = _with_preset(part, getattr(cls, "presets", {}))
    names = [p.name for p in parameters(cls)]
    if sde is not None and "levels" in names:
        from sde_diffusion.sharing.chain import as_chain, levels

        part = {"levels": levels(as_chain(sde)), **part}
    arguments = resolver.arguments(
        "network", part, cls, hidden={names[0]: event_shape}
    )  # `fitting` finds the first one

    def make() -> nn.Module:
        return resolver.called(part, lambda: cls.fitting(tuple(event_shape), **arguments))  # pyright: ignore

    return (begin or seeded)(seed, make)


def _with_preset(part: Spec, presets: Mapping[str, Mapping[str, Any]]) -> Spec:
    """The spec with the arguments of its preset, if it names one, written out."""
    if "preset" not in part:
        return part
    given = dict(part)
    name = str(resolver.written(given.pop("preset"), text=True))
    if name not in presets:
        raise ValueError(
            f"the network {part['name']} has no preset {name!r}; {nearest(name, presets)}; `info` lists them"
        )
    return {**presets[name], **given}


def data(part: Spec) -> DataSource:
    """The data set; ValueError for a name of data that the command line does not read, with what does."""
    if part["name"] not in choices("data set") and (hint := data_hint(part["name"])):
        raise ValueError(hint)
    return resolver.build("data set", part)


def augmentation(part: Spec) -> Augmentation:
    """Random changes of the training samples."""
    return resolver.build("augmentation", part)


def objective(part: Spec, data_std: float) -> Callable[..., Any]:
    """The loss; what in it depends on the data's standard deviation gets this one unless the spec has another."""
    return resolver.build("objective", part, usual={"data_std": data_std})


def method(part: Spec) -> Method:
    """The solver's method."""
    return resolver.build("method", part)


def law(part: Spec) -> Law:
    """The exactly known distribution."""
    return resolver.build("exact law", part)


def extractor(part: Spec, classifier: Callable[[], Classifier]) -> Extractor:
    """What makes features of samples; `classifier` is called where an extractor asks for the data's own.

    An extra that is missing is a ValueError that says how to install it.
    """
    asked = "Classifier" in map(annotation, parameters(choose("extractor", part["name"])))
    try:
        return resolver.build("extractor", part, {"Classifier": classifier()} if asked else None)
    except ImportError as error:
        raise ValueError(str(error)) from error


def reversal(part: Spec, sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """The reverse-time equation of a process and a denoiser; an argument that is itself a reversal is built first."""
    given = {"SDE": sde, "LinearSDE": sde, "Model": denoiser, "Denoiser": denoiser}
    return resolver.build("reversal", part, given)
