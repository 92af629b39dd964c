"""A denoiser depends only on the noise level (alpha, sigma), not on the SDE that produced it.

D(x; alpha, sigma) = E[x_0 | alpha x_0 + sigma eps = x] needs no SDE. Score, noise and velocity are views of it (see
`Kernel`), so every parameterisation, process and guidance meets here: a network trained under one process samples under
any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization


class Denoiser(nn.Module, ABC):
    """E[x_0 | x_t] for any Gaussian channel.

    A call raises ValueError where the forward pass wrote into x_t, the kernel or a condition: see `call_unwritten`.
    """

    def __call__(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:  # pyright: ignore
        """The answer of `forward`, with the module's hooks."""
        return call_unwritten(super().__call__, x_t, kernel, **condition)

    @abstractmethod
    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The conditional mean, shape (B, *E), of x_0 given x_t (B, *E), a sample of the kernel's N(alpha x_0, sigma^2 I).

        Solvers give x_t in float32 or float64. The answer is in x_t's dtype; one of 16 bits is taken as well.
        """

    def select(self, rows: Tensor) -> Denoiser:
        """The denoiser of some of the samples: a boolean mask (B,) or int64 indices (R,) of the batch.

        It is the denoiser itself, unless samples differ by more than their x_t: see `Conditioned`. What wraps a denoiser
        forwards `select` to it.
        """
        return self


class Preconditioned(Denoiser):
    """A network with a preconditioning: the parameterisation scales its input and says what its output predicts.

    The backbone is any `nn.Module` with forward(x, c_time, **condition) -> (B, *E), where c_time of shape (B,) is the
    parameterisation's number for the noise level of each sample. A backbone in another floating dtype than the state gets
    its own dtype, and the answer is in the state's: a float32 network serves a float64 solver, and a bfloat16 network (or
    one under autocast) a state that stays in float32.
    """

    def __init__(self, backbone: nn.Module, parameterization: Parameterization):
        """`backbone` is the network, `parameterization` for example EDMPreconditioning(data_std)."""
        super().__init__()
        self.backbone = backbone
        self.parameterization = parameterization

    def raw(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The network's output, shape (B, *E), in x_t's dtype."""
        x, level = self.parameterization.precondition(x_t, kernel), self.parameterization.level(x_t, kernel)
        own = floating_dtype(self.backbone) or x.dtype
        return self.backbone(x.to(own), level.to(own), **condition).to(x.dtype)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The network's output as E[x_0 | x_t]."""
        return self.parameterization.to_denoised(self.raw(x_t, kernel, **condition), x_t, kernel)


def call_unwritten(model: Callable[..., Any], x: Tensor, *at: Any, **condition: Any) -> Any:
    """model(x, *at, **condition). Raises ValueError where the model wrote into one of them, as x.mul_() does.

    x is the state of a solver, or the noisy data of a loss, `at` a kernel or times: whoever calls goes on with them. PyTorch
    counts the writes into a tensor, so that no number is looked at; tensors made under `torch.inference_mode` have no count.
    """
    if torch.compiler.is_compiling():  # what is compiled is called from outside, and looked at there
        return model(x, *at, **condition)
    before = _writes(x, at, condition)
    answer = model(x, *at, **condition)
    if _writes(x, at, condition) != before:
        name = getattr(model, "__self__", model)
        raise ValueError(
            f"{getattr(name, '__name__', type(name).__name__)} writes into its input, which is the caller's own; write "
            "x = 2 * x in the place of x.mul_(2), or begin with x = x.clone()"
        )
    return answer


def _writes(x: Any, at: tuple[Any, ...], condition: dict[str, Any]) -> int:
    """How often the tensors were written into in place. Every call of a network asks it twice: floats are passed over first."""
    count = _version(x)
    for value in at:
        if type(value) is not Kernel:
            count += _version(value)
        elif type(value.alpha) is not float or type(value.sigma) is not float:
            count += _version(value.alpha) + _version(value.sigma)
    for value in condition.values():
        count += _version(value)
    return count


def _version(value: Any) -> int:
    try:
        return value._version
    except (AttributeError, RuntimeError):  # no tensor, or one of torch.inference_mode
        return 0


def floating_dtype(module: nn.Module) -> torch.dtype | None:
    """The dtype of the first floating-point parameter; None of a module without one. It is read at every call: no search."""
    for parameter in module._parameters.values():
        if parameter is not None and parameter.is_floating_point():
            return parameter.dtype
    return next(filter(None, map(floating_dtype, filter(None, module._modules.values()))), None)
