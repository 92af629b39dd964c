r"""Several denoisers as one: the sum of their scores, and the mixture of their laws.

The score sum_i a_i s_i of denoisers D_i is that of

    D = sum_i a_i D_i + (1 - sum_i a_i) x_t / alpha.                                                                (1)

With a = (1, 1) it is called the product of two models, although noised products are not products of noised laws: samples
are too concentrated, and more so under the probability flow. The mixture sum_i pi_i p_i is exact at all levels:

    D = sum_i r_i D_i,   r = softmax(log pi_i + log p_i(x_t)).                                                      (2)

References:
    Liu et al., Compositional Visual Generation with Composable Diffusion Models, 2022, https://arxiv.org/abs/2206.01714
    Skreta et al., The Superposition of Diffusion Models, 2024, https://arxiv.org/abs/2412.17762
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from solvers.elementwise import along


class _Several(Denoiser):
    def __init__(self, denoisers: Sequence[Denoiser], numbers: Sequence[object], name: str) -> None:
        super().__init__()
        if len(denoisers) != len(numbers) or not denoisers:
            raise ValueError(
                f"{name} are one for each denoiser, got {len(numbers)} for {len(denoisers)} denoisers; give as many"
            )
        self.denoisers = nn.ModuleList(denoisers)

    def select(self, rows: Tensor) -> Denoiser:
        """The same of some of the samples."""
        chosen = [one.select(rows) for one in self.denoisers]  # pyright: ignore[reportCallIssue]
        unchanged = all(new is old for new, old in zip(chosen, self.denoisers, strict=True))
        return self if unchanged else self._of(chosen)

    @abstractmethod
    def _of(self, denoisers: Sequence[Denoiser]) -> Denoiser:
        """The same of other denoisers."""

    def _answers(self, x_t: Tensor, kernel: Kernel, condition: dict) -> Tensor:
        """All answers, shape (K, B, *E)."""
        return torch.stack([one(x_t, kernel, **condition) for one in self.denoisers])


class SumOfScores(_Several):
    """Equation (1). Raises ValueError unless there is one weight for each denoiser."""

    def __init__(self, denoisers: Sequence[Denoiser], weights: Sequence[float]) -> None:
        super().__init__(denoisers, weights, "weights")
        self.weights = tuple(map(float, weights))

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The estimate of the data, shape (B, *E)."""
        weights = x_t.new_tensor(self.weights)
        combined = torch.tensordot(weights, self._answers(x_t, kernel, condition), 1)
        return combined + (1 - sum(self.weights)) * x_t / along(kernel.alpha, x_t)

    def _of(self, denoisers: Sequence[Denoiser]) -> SumOfScores:
        return SumOfScores(denoisers, self.weights)


class MixtureOfDenoisers(_Several):
    """Equation (2).

    Args:
        denoisers: one for each law.
        log_densities: (x_t, kernel) -> log p_i(x_t), shape (B,), of the noised laws; one for each denoiser.
        log_weights: log pi_i, up to a constant.

    Raises ValueError unless there is one of each for each denoiser.
    """

    def __init__(
        self,
        denoisers: Sequence[Denoiser],
        log_densities: Sequence[Callable[[Tensor, Kernel], Tensor]],
        log_weights: Sequence[float],
    ) -> None:
        super().__init__(denoisers, log_weights, "log_weights")
        if len(log_densities) != len(denoisers):
            raise ValueError(f"log_densities are one for each denoiser, got {len(log_densities)} for {len(denoisers)}")
        self.log_densities, self.log_weights = tuple(log_densities), tuple(log_weights)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The estimate of the data, shape (B, *E)."""
        logs = torch.stack([density(x_t, kernel) for density in self.log_densities])
        shares = (logs + logs.new_tensor(self.log_weights).unsqueeze(1)).softmax(0).to(x_t)
        answers = self._answers(x_t, kernel, condition)
        return (answers * shares.reshape(*shares.shape, *(1,) * (x_t.ndim - 1))).sum(0)

    def _of(self, denoisers: Sequence[Denoiser]) -> MixtureOfDenoisers:
        return MixtureOfDenoisers(denoisers, self.log_densities, self.log_weights)
