"""What all forms share: their arguments are checked, their model's answers too, and rows of the batch can be selected.

A form is a function (sde, model, ...) -> Reversal. `@form(LinearSDE)` or `@form(SDE)` above one of them

    refuses arguments of the wrong kind, in one sentence;
    checks shape, dtype and device of what the model returns, and that it wrote nothing into its input (on the host: no
        value is read);
    refuses a denoiser that is no score, unless the form's stochasticity is the one with which it is right;
    gives the equation its `select`: the same form of `select_rows(model, rows)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial, wraps
from inspect import signature
from typing import Any, ParamSpec

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser, call_unwritten
from sde_diffusion.denoisers.limited import check_equation
from sde_diffusion.parameterization.base import Parameterization
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sde.base import SDE, LinearSDE
from solvers.equations import Equation, select_rows

P = ParamSpec("P")

SIXTEEN_BITS = (torch.float16, torch.bfloat16)
"""Dtypes of networks, never of states: a model may answer in them."""


def form(process: type[SDE], eta: float | None = None) -> Callable[[Callable[P, Reversal]], Callable[P, Reversal]]:
    """The decorator of a form that takes processes of the given class.

    `eta` is its stochasticity, where it has no argument of that name; None for one that needs the score itself.
    """

    def decorated(function: Callable[P, Reversal]) -> Callable[P, Reversal]:
        @wraps(function)
        def built(*args: P.args, **kwargs: P.kwargs) -> Reversal:
            return _build(function, process, eta, args, kwargs)

        return built

    return decorated


def _build(
    function: Callable[..., Reversal], process: type[SDE], eta: float | None, args: tuple, kwargs: dict[str, Any]
) -> Reversal:
    name = function.__name__
    known = signature(function)
    try:
        bound = known.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"{name} takes a process and a model, {error}; write {name}({', '.join(list(known.parameters)[:2])})"
        ) from None
    bound.apply_defaults()
    sde, model, *rest = bound.args
    check_process_and_model(name, process, sde, model)
    check_equation(name, getattr(model, "model", model), bound.arguments.get("eta", eta))
    reversal = function(sde, checked(model), *rest, **bound.kwargs)

    def select(rows: Tensor) -> Equation:
        chosen = select_rows(model, rows)
        if chosen is model:
            return reversal.equation
        return _build(function, process, eta, (sde, chosen, *rest), bound.kwargs).equation

    return replace(reversal, equation=replace(reversal.equation, select=select))


class checked:
    """A model whose answers must be like its states; rows are selected in the model itself."""

    def __init__(self, model: Callable[..., Tensor]) -> None:
        self.model = model.model if isinstance(model, checked) else model
        self._call = self.model if isinstance(self.model, Denoiser) else partial(call_unwritten, self.model)

    def __call__(self, x: Tensor, *at: Any) -> Tensor:
        """The model's answer, one of 16 bits in x's dtype.

        Raises TypeError or ValueError where it is not like x, or where the model wrote into x.
        """
        answer = _promoted(self._call(x, *at), x)
        if answer.shape != x.shape or answer.dtype != x.dtype or answer.device != x.device:
            _refuse_answer(self.model, answer, x)
        return answer

    def select(self, rows: Tensor) -> checked:
        """The same for some of the samples."""
        chosen = select_rows(self.model, rows)
        return self if chosen is self.model else checked(chosen)


def _promoted(answer: Any, x: Tensor) -> Any:
    """An answer of 16 bits, of a network under autocast for instance, in the state's dtype."""
    return answer.to(x.dtype) if isinstance(answer, Tensor) and answer.dtype in SIXTEEN_BITS else answer


def check_process_and_model(name: str, process: type[SDE], sde: Any, model: Any) -> None:
    """Raises TypeError, in one sentence, unless these are a process and a model that `name` can take."""
    wanted = "denoiser" if process is LinearSDE else "model"
    if isinstance(model, SDE) and not isinstance(sde, SDE):
        raise TypeError(
            f"{name} takes the process first, then the {wanted}, got {_kind(sde)} and {_kind(model)}; "
            f"write {name}(sde, {wanted})"
        )
    if not isinstance(sde, SDE):
        hint = " (the process of EDM is sde_diffusion.sde.EDM())" if isinstance(sde, Parameterization) else ""
        raise TypeError(f"{name} needs a process, got {_kind(sde)}; write {name}(VP(), {wanted}){hint}")
    if not isinstance(sde, process):
        raise TypeError(
            f"{name} needs a LinearSDE, whose noise levels are known in closed form, got {_kind(sde)}; take reverse_sde or "
            "probability_flow with its score(x, t)"
        )
    if not isinstance(sde, LinearSDE):
        if not callable(model):
            raise TypeError(
                f"{name} needs a score(x, t) for {_kind(sde)}, got {_kind(model)}; pass a function or module"
            )
        return
    if not callable(model):
        raise TypeError(
            f"{name} needs a denoiser, got {_kind(model)}; pass Preconditioned(network, EDMPreconditioning())"
        )
    if _is_bare_network(model):
        raise TypeError(
            f"{name} needs a denoiser, got the network {_kind(model)}; write Preconditioned(network, EDMPreconditioning()), "
            "with the parameterisation it was trained with"
        )


def _is_bare_network(model: Any) -> bool:
    """A module that is no denoiser, compiled or not."""
    return isinstance(model, nn.Module) and not isinstance(getattr(model, "_orig_mod", model), Denoiser)


def _refuse_answer(model: Any, answer: Any, x: Tensor) -> None:
    if not isinstance(answer, Tensor):
        raise TypeError(f"{_kind(model)} returned {_kind(answer)} for a state; return a tensor of the state's shape")
    if answer.shape != x.shape:
        raise ValueError(
            f"{_kind(model)} returned the shape {tuple(answer.shape)} for states of shape {tuple(x.shape)}; return one "
            "number for each coordinate"
        )
    if answer.device != x.device:
        raise ValueError(
            f"{_kind(model)} returned a tensor on {answer.device} for states on {x.device}; move the model there with .to()"
        )
    raise TypeError(
        f"{_kind(model)} returned {answer.dtype} for states of {x.dtype}; ask for samples of the model's dtype, or return "
        "answer.to(x.dtype)"
    )


def _kind(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else type(value).__name__
