r"""The optimizer of a run and its learning rate: chosen by name or by the caller, saved by the names of its own tensors.

At the update that follows k updates, of K in all, the learning rate is the highest one times

    min(1, (k + 1)/warmup)   times   constant       1
                                     cosine         (1 + cos(pi k/K))/2
                                     inverse_sqrt   1/sqrt(max(1, (k + 1)/warmup))                                (1)

The cosine's fall to zero lets the last weights themselves come to rest, so that they are nearly as good as their average.

References:
    Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    Loshchilov & Hutter, Decoupled Weight Decay Regularization, 2019, https://arxiv.org/abs/1711.05101
    Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024, https://kellerjordan.github.io/posts/muon/
    Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
    Vaswani et al., Attention Is All You Need, 2017, https://arxiv.org/abs/1706.03762, equation (3) (inverse square root)
    Goyal et al., Accurate, Large Minibatch SGD, 2017, https://arxiv.org/abs/1706.02677, section 2.2 (warm-up)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.training.distributed.parallel import copy_into_shards
from sde_diffusion.training.settings import TrainSettings

OptimizerFactory = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
"""Parameters -> an optimizer of all of them, each group at its highest learning rate."""

Schedule = Callable[[int, int], float]
"""(updates done, updates in all) -> the factor of the learning rate, warm-up left out."""

SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "constant": lambda step, steps, warmup: 1.0,
    "cosine": lambda step, steps, warmup: 0.5 * (1 + math.cos(math.pi * step / steps)),
    "inverse_sqrt": lambda step, steps, warmup: max(1.0, (step + 1) / max(warmup, 1)) ** -0.5,
}
"""Equation (1) without its warm-up, by name."""


def rate_factor(settings: TrainSettings, step: int, schedule: Schedule | None = None) -> float:
    """Equation (1), or the warm-up times `schedule`, at the update that follows `step` updates."""
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    if schedule is not None:
        return rise * schedule(step, settings.steps)
    return rise * SCHEDULES[settings.schedule](step, settings.steps, settings.warmup)


def rate(settings: TrainSettings, step: int, schedule: Schedule | None = None) -> float:
    """The learning rate at the update that follows `step` updates, where it is `learning_rate` at its highest."""
    return settings.learning_rate * rate_factor(settings, step, schedule)


class Optimizer:
    """One or more of torch's optimizers that share the trainable parameters of a model.

    Its state is kept by name: `backbone.0.weight/exp_avg` is the tensor `exp_avg` of that parameter.
    """

    def __init__(self, model: nn.Module, parts: list[torch.optim.Optimizer]) -> None:
        """Raises ValueError unless each trainable parameter of `model` is in exactly one of `parts`."""
        self.parts = parts
        self.names = {id(p): name for name, p in model.named_parameters()}
        given = [id(parameter) for parameter in self.parameters()]
        if sorted(given) != sorted(id(parameter) for parameter in trainable(model)):
            raise ValueError(
                "the optimizer has not each trainable parameter once; give it all the parameters it is handed"
            )
        for group in self._groups():
            group["initial_lr"] = float(group["lr"])
        self._initial = [_plain(group) for group in self._groups()]

    def parameters(self) -> list[nn.Parameter]:
        """The parameters."""
        return [parameter for group in self._groups() for parameter in group["params"]]

    def gradients(self) -> list[Tensor]:
        """The gradients that there are."""
        return [parameter.grad for parameter in self.parameters() if parameter.grad is not None]

    def step(self, factor: float, divisor: Tensor, skip: Tensor) -> None:
        """Step along the gradients over `divisor` at `factor` times the learning rates, unless `skip` is 1; drop them.

        torch's fused optimizers read `grad_scale` and `found_inf`, which spares a pass over the gradients and a wait for
        the device. For any other optimizer the host looks at `skip`, once a step.
        """
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = group["initial_lr"] * factor
            if getattr(part, "_step_supports_amp_scaling", False):
                part.grad_scale, part.found_inf = divisor, skip  # pyright: ignore[reportAttributeAccessIssue]
                part.step()
            elif not skip.item():
                gradients = [p.grad for g in part.param_groups for p in g["params"] if p.grad is not None]
                torch._foreach_div_(gradients, divisor)  # pyright: ignore[reportPrivateImportUsage]
                part.step()
            part.zero_grad(set_to_none=True)

    def description(self) -> list[dict[str, Any]]:
        """The class and the hyper-parameters of each group, for a run's fingerprint."""
        owners = [type(part).__name__ for part in self.parts for _ in part.param_groups]
        return [{"class": owner, **known} for owner, known in zip(owners, self._initial, strict=True)]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the state by name, of which this process may hold shares."""
        return {name: value for name, value in self._slots() if isinstance(value, Tensor)}

    def facts(self) -> dict[str, Any]:
        """What else the state is, as fits JSON. Raises TypeError for a state that does not."""
        numbers = {name: value for name, value in self._slots() if not isinstance(value, Tensor) and value is not None}
        changed = [
            {key: value for key, value in _plain(group).items() if key != "lr" and value != begin.get(key)}
            for group, begin in zip(self._groups(), self._initial, strict=True)
        ]
        for name, value in numbers.items():
            if not isinstance(value, (bool, int, float, str)):
                raise TypeError(f"{name} of the optimizer is a {type(value).__name__}, which a checkpoint cannot hold")
        return {"numbers": numbers, "groups": changed}

    def begin(self, known: set[str]) -> dict[str, Tensor]:
        """The tensors of a new state, to be filled: those of the parameters that have any of the slots `known`."""
        self._make_state()
        owners = {name.rpartition("/")[0] for name in known}
        for part in self.parts:
            for parameter in [one for one in part.state if self.names[id(one)] not in owners]:
                del part.state[parameter]
        return self.tensors()

    def set_facts(self, facts: dict[str, Any]) -> None:
        """The other half of `begin`. Raises KeyError or ValueError for facts of another optimizer."""
        self._set_numbers(facts["numbers"])
        self._set_groups(facts["groups"])

    def load(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Go on from `tensors()`, put together, and `facts()`. Raises ValueError unless names, shapes and dtypes are those of this optimizer's own state.

        A fused kernel looks at no shape, so that a foreign tensor could make it write beyond the memory: each one is
        copied into a tensor that the optimizer made itself, by a step at learning rate zero.
        """
        self._make_state()
        slots = dict(self._slots())
        known = {name.rpartition("/")[0] for name in [*tensors, *facts["numbers"]]}
        for name, own in slots.items():
            if name.rpartition("/")[0] in known:
                _check_slot(name, own, tensors.get(name, facts["numbers"].get(name)))
        strangers = [name for name in [*tensors, *facts["numbers"]] if name not in slots]
        if strangers:
            raise ValueError(f"{min(strangers)} is nothing that this optimizer keeps")
        self._fill(known, tensors, facts)

    def _fill(self, known: set[str], tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        for part in self.parts:
            for parameter in list(part.state):
                name, kept = self.names[id(parameter)], part.state[parameter]
                if name not in known:
                    del part.state[parameter]
                    continue
                for slot, own in kept.items():
                    if isinstance(own, Tensor):
                        copy_into_shards(own, tensors[f"{name}/{slot}"])
        self._set_numbers(facts["numbers"])
        self._set_groups(facts["groups"])

    def _set_numbers(self, numbers: dict[str, Any]) -> None:
        for part in self.parts:
            for parameter, kept in part.state.items():
                for slot, own in kept.items():
                    if own is not None and not isinstance(own, Tensor):
                        kept[slot] = numbers[f"{self.names[id(parameter)]}/{slot}"]

    def _set_groups(self, groups: list[dict[str, Any]]) -> None:
        for group, begin, changed in zip(self._groups(), self._initial, groups, strict=True):
            group.update(begin | {key: value for key, value in changed.items() if type(value) is type(begin.get(key))})

    def _make_state(self) -> None:
        """The state after one step at learning rate zero along no gradient, which leaves the parameters as they are."""
        for part in self.parts:
            part.state.clear()
            for group in part.param_groups:
                group["lr"] = 0.0
                for parameter in group["params"]:
                    parameter.grad = torch.zeros_like(parameter)
            part.grad_scale = part.found_inf = None  # pyright: ignore[reportAttributeAccessIssue]
            part.step()
            part.zero_grad(set_to_none=True)

    def _groups(self) -> list[dict[str, Any]]:
        return [group for part in self.parts for group in part.param_groups]

    def _slots(self) -> Iterable[tuple[str, Any]]:
        for part in self.parts:
            for parameter, kept in part.state.items():
                for slot, value in kept.items():
                    yield f"{self.names[id(parameter)]}/{slot}", value


def make_optimizer(model: nn.Module, settings: TrainSettings, factory: OptimizerFactory | None = None) -> Optimizer:
    """The optimizer that the settings name, or the one that `factory` makes.

    Raises TypeError for a factory that makes something else.
    """
    if factory is None:
        return Optimizer(model, OPTIMIZERS[settings.optimizer](model, settings))
    made = factory(trainable(model))
    if not isinstance(made, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer is called with the parameters and gives a torch.optim.Optimizer, got a {type(made).__name__}; "
            "write lambda parameters: torch.optim.SGD(parameters, lr=0.1)"
        )
    return Optimizer(model, [made])


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that ask for a gradient. Raises ValueError for a model without any."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters that ask for a gradient; there is nothing to train")
    return parameters


def _adam(model: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    return [torch.optim.Adam(trainable(model), **_adam_options(settings))]


def _adamw(model: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    return [torch.optim.AdamW(trainable(model), **_adam_options(settings))]


def _muon(model: nn.Module, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """Muon for the matrices, tables of embeddings left out, and AdamW for the rest, at one learning rate for both."""
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    parameters = trainable(model)
    matrices = [p for p in parameters if p.ndim == 2 and id(p) not in tables]
    rest = [p for p in parameters if p.ndim != 2 or id(p) in tables]
    more = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay, "adjust_lr_fn": "match_rms_adamw"}
    found: list[torch.optim.Optimizer] = [torch.optim.Muon(matrices, **more)] if matrices else []
    return found + ([torch.optim.AdamW(rest, **_adam_options(settings))] if rest else [])


def _adam_options(settings: TrainSettings) -> dict[str, Any]:
    decay = settings.weight_decay
    return {"lr": settings.learning_rate, "betas": settings.betas, "weight_decay": decay, "fused": True}


OPTIMIZERS: dict[str, Callable[[nn.Module, TrainSettings], list[torch.optim.Optimizer]]] = {
    "adam": _adam,
    "adamw": _adamw,
    "muon": _muon,
}
"""What `TrainSettings.optimizer` may name."""


def _plain(group: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters of a group that fit JSON, tuples as lists."""
    listed = {
        key: list(value) if isinstance(value, tuple) else value for key, value in group.items() if key != "params"
    }
    return {key: value for key, value in listed.items() if isinstance(value, (bool, int, float, str, list, type(None)))}


def _check_slot(name: str, own: Any, stored: Any) -> None:
    if isinstance(own, Tensor) != isinstance(stored, Tensor):
        raise ValueError(f"{name} is missing, or of another kind than this optimizer keeps")
    if isinstance(own, Tensor):
        if (tuple(own.shape), own.dtype) != (tuple(stored.shape), stored.dtype):
            raise ValueError(
                f"{name} is {stored.dtype} of shape {tuple(stored.shape)}, not {own.dtype} {tuple(own.shape)}"
            )
    elif own is not None and type(own) is not type(stored):
        raise ValueError(f"{name} is a {type(stored).__name__}, not a {type(own).__name__}")
