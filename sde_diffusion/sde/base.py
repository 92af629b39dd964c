r"""The forward process.

`SDE` is any equation dx = drift(x, t) dt + diffusion(t) dW on [0, horizon]; the drift may be nonlinear. `LinearSDE` is

    dx = f(t) x dt + g(t) dW,   so that   x_t | x_0 ~ N(alpha(t) x_0, sigma(t)^2 I),                             (1)

    d log(alpha)/dt = f,   d(sigma^2)/dt = 2 f sigma^2 + g^2.                                                    (2)

A process states f, g, alpha, sigma and the inverse of its log-SNR in closed form, from Python floats to Python floats
and from float64 tensors to float64 tensors; all the rest is derived here, once, and is not overridden. With
l = log(alpha^2/sigma^2), for s < t,

    x_t | x_s      ~ N(alpha_t/alpha_s x_s, sigma_t^2 (1 - e^{l_t - l_s})),                                      (3)
    x_s | x_t, x_0 ~ N(alpha_s (1 - e^{l_t - l_s}) x_0 + alpha_t sigma_s^2/(alpha_s sigma_t^2) x_t,
                       sigma_s^2 (1 - e^{l_t - l_s})).                                                           (4)

The differences are taken inside expm1, so that nothing cancels where the process has hardly begun.

References:
    Anderson, Reverse-time diffusion equation models, 1982, https://doi.org/10.1016/0304-4149(82)90051-5
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456
    Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630, appendix A
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.sde.prior import GaussianPrior
from solvers.elementary import expm1, log, sqrt
from solvers.elementwise import Coefficient, along, axpy, combine, scale
from solvers.equations import Equation, ItoSDE


class SDE(ABC):
    """dx = drift(x, t) dt + diffusion(t) dW for t in [0, horizon], started at the data.

    Sampling runs from `horizon` down to `t_min`: below it a process whose noise vanishes at t = 0 has no score.
    """

    horizon: float
    t_min: float

    @abstractmethod
    def drift(self, x: Tensor, t: Coefficient) -> Tensor:
        """The drift, shape (B, *E), at states x (B, *E) and a time t (float, () or (B,))."""

    @abstractmethod
    def diffusion(self, t: Coefficient) -> Coefficient:
        """g(t) itself, never g^2; of t's kind."""

    def score(self, model: Callable[..., Tensor], x: Tensor, t: Coefficient) -> Tensor:
        """The score that a model of this process gives. Without closed-form kernels a model is score(x, t) itself."""
        return model(x, t)

    def reverse_drift(self, model: Callable[..., Tensor], x: Tensor, t: Coefficient, weight: float) -> Tensor:
        """drift(x, t) - weight g(t)^2 score(x, t)."""
        return axpy(self.drift(x, t), -weight * self.diffusion(t) ** 2, self.score(model, x, t))

    def equation(self, drift: Callable[[Tensor, Coefficient], Tensor], eta: float = 1.0) -> Equation:
        """dx = drift(x, t) dt + eta g(t) dW: any drift with eta times this process's noise."""
        return ItoSDE(drift, lambda t: eta * self.diffusion(t))

    def check_time(self, t: Coefficient) -> None:
        """Raises ValueError for a time outside [0, horizon], up to one unit in the last place of t's own dtype.

        Tensors on an accelerator are not read back.
        """
        if isinstance(t, Tensor):
            if t.device.type != "cpu":
                return
            if not t.is_floating_point():
                raise TypeError(f"times are floating point, got {t.dtype}; convert them with .double()")
            low, high, unit = t.detach().min().item(), t.detach().max().item(), torch.finfo(t.dtype).eps
        else:
            low = high = t
            unit = 1e-12
        if not (low >= 0.0 and high <= self.horizon * (1 + unit)):
            self._refuse_time(high if not high <= self.horizon else low)

    def exact_time(self, t: Coefficient) -> Coefficient:
        """t as a float64 tensor, a horizon that t's own dtype rounded up put back to the horizon; floats as they are."""
        if not isinstance(t, Tensor):
            return t
        wide = t.to(torch.float64)
        rounded = wide <= self.horizon * (1 + torch.finfo(t.dtype).eps)
        return torch.where(rounded, wide.clamp(max=self.horizon), wide)

    def _refuse_time(self, t: float) -> NoReturn:
        raise ValueError(
            f"{type(self).__name__} is defined for 0 <= t <= {self.horizon:g}, got t = {t:g}; "
            "clamp the time or give the process a longer horizon"
        )


class LinearSDE(SDE):
    """Equation (1): the processes whose kernels are Gaussian in closed form."""

    @abstractmethod
    def f(self, t: Coefficient) -> Coefficient:
        """The drift's coefficient, in 1/time."""

    @abstractmethod
    def g(self, t: Coefficient) -> Coefficient:
        """The diffusion coefficient, in state/sqrt(time)."""

    @abstractmethod
    def alpha(self, t: Coefficient) -> Coefficient:
        """The scale of the data in x_t."""

    @abstractmethod
    def sigma(self, t: Coefficient) -> Coefficient:
        """The standard deviation of the noise in x_t."""

    @abstractmethod
    def time(self, log_snr: Coefficient) -> Coefficient:
        """The inverse of `log_snr`."""

    def drift(self, x: Tensor, t: Coefficient) -> Tensor:
        """f(t) x."""
        return scale(self.f(self.exact_time(t)), x)

    def diffusion(self, t: Coefficient) -> Coefficient:
        """g(t), of float64 for a tensor."""
        return self.g(self.exact_time(t))

    def log_snr(self, t: Coefficient) -> Coefficient:
        """l(t) = log(alpha^2/sigma^2), in nats; +infinity where sigma = 0."""
        return 2 * (log(self.alpha(t)) - log(self.sigma(t)))

    def kernel(self, t: Coefficient) -> Kernel:
        """The Gaussian kernel of x_t given x_0; tensors become float64. Floats are checked, tensors are not (see `marginal`).

        Raises ValueError for a float outside [0, horizon] by more than rounding.
        """
        if not isinstance(t, Tensor) and not -1e-9 <= t / self.horizon <= 1 + 1e-9:
            self._refuse_time(t)
        t = self.exact_time(t)
        return Kernel(self.alpha(t), self.sigma(t))

    def marginal(self, x0: Tensor, t: Coefficient) -> tuple[Tensor, Tensor]:
        """(mean, std) of x_t | x_0: mean (B, *E), std () or (B, 1, ..., 1), both in x0's dtype.

        Raises:
            TypeError, ValueError: x0 is not floating point, holds NaN, or t is outside [0, horizon].
        """
        self.check_data(x0)
        self.check_time(t)
        kernel = self.kernel(t)
        std = torch.as_tensor(along(kernel.sigma, x0), dtype=x0.dtype, device=x0.device)
        return kernel.mean(x0), std

    def transition(self, t: Coefficient, s: Coefficient) -> Kernel:
        """The Gaussian kernel from x_s to x_t for s < t, equation (3)."""
        t, s = self._pair(t, s)
        return Kernel(self.alpha(t) / self.alpha(s), self.sigma(t) * sqrt(self._forgotten(t, s)))

    def posterior(self, x_t: Tensor, x0: Tensor, t: Coefficient, s: Coefficient) -> tuple[Tensor, Coefficient]:
        """(mean, std) of x_s | x_t, x_0 for s < t, equation (4): mean (B, *E), std of t's kind."""
        t, s = self._pair(t, s)
        forgotten, sigma_s = self._forgotten(t, s), self.sigma(s)
        on_x_t = self.alpha(t) / self.alpha(s) * (sigma_s / self.sigma(t)) ** 2
        return combine(self.alpha(s) * forgotten, x0, on_x_t, x_t), sigma_s * sqrt(forgotten)

    def prior(self, mean: Any = 0.0, variance: float = 1.0) -> GaussianPrior:
        """N(alpha_T mean, alpha_T^2 variance + sigma_T^2): the distribution of x_T for data with these two moments.

        `mean` is a number or a tensor of the event shape; `variance` is that of one coordinate.
        """
        kernel = self.kernel(self.horizon)
        return GaussianPrior(kernel.alpha * mean, float(sqrt(kernel.alpha**2 * variance + kernel.sigma**2)))

    def score(self, model: Callable[..., Tensor], x: Tensor, t: Coefficient) -> Tensor:
        """The score that a denoiser gives, by Tweedie's formula."""
        kernel = self.kernel(t)
        return kernel.score(x, model(x, kernel))

    def reverse_drift(self, model: Callable[..., Tensor], x: Tensor, t: Coefficient, weight: float) -> Tensor:
        """f x - weight g^2 (alpha x0_hat - x)/sigma^2, gathered into one coefficient of x and one of x0_hat."""
        t, kernel = self.exact_time(t), self.kernel(t)
        gain = weight * (self.g(t) / kernel.sigma) ** 2
        return combine(self.f(t) + gain, x, -gain * kernel.alpha, model(x, kernel))

    def check_data(self, x0: Tensor) -> None:
        """Raises TypeError or ValueError for data that are not finite floating-point tensors (B, *E)."""
        if not isinstance(x0, Tensor) or not x0.is_floating_point():
            kind = x0.dtype if isinstance(x0, Tensor) else type(x0).__name__
            how = ".float()" if isinstance(x0, Tensor) else "torch.as_tensor(x, dtype=torch.float32)"
            raise TypeError(f"data must be a floating-point tensor (B, *E), got {kind}; convert it with {how}")
        if x0.ndim < 1:
            raise ValueError("data must have shape (B, *E), got a scalar; add the batch axis with x0[None]")
        if x0.device.type == "cpu" and not torch.isfinite(x0).all():
            raise ValueError("data holds NaN or infinity; clean it before it is perturbed")

    def _forgotten(self, t: Coefficient, s: Coefficient) -> Coefficient:
        return -expm1(self.log_snr(t) - self.log_snr(s))

    def _pair(self, t: Coefficient, s: Coefficient) -> tuple[Coefficient, Coefficient]:
        """Both as exact times. ValueError unless s < t, both in range."""
        self.check_time(t)
        self.check_time(s)
        late = _on_device(t, s) or bool((_double(s) < _double(t)).all())
        if not late:
            raise ValueError(f"a transition runs from s to a later t, got s = {s}, t = {t}; exchange them")
        return self.exact_time(t), self.exact_time(s)


def _on_device(*times: Coefficient) -> bool:
    return any(isinstance(t, Tensor) and t.device.type != "cpu" for t in times)


def _double(t: Coefficient) -> Tensor:
    return torch.as_tensor(t, dtype=torch.float64)
