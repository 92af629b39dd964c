r"""Exact posteriors of a mixture of Gaussians: of a linear observation, and of any law of one projection.

Of y = A x_0 + s eps each mode is updated as in a Kalman filter, with S_k = A C_k A^T + s^2 I and G_k = C_k A^T S_k^{-1}:

    x_0 | y, k ~ N(m_k + G_k (y - A m_k), C_k - G_k A C_k),   w_k' ~ w_k N(y; A m_k, S_k),                          (1)

and log p(y) is the logarithm of the sum of the latter: the posterior is a mixture again.

Of p(y | z), z = <a, x_0>, z is N(mu_k, v_k) in mode k, and given (z, k) x_0 is Gaussian whatever y is:

    x_0 = x + C_k a (z - <a, x>)/v_k,   x ~ N(m_k, C_k),                                                            (2)

so that only the law of (z, k) is to be integrated, on a grid of z, mode by mode.

References:
    Kalman, A New Approach to Linear Filtering and Prediction Problems, 1960, https://doi.org/10.1115/1.3662552
    Journel & Huijbregts, Mining Geostatistics, 1978, chapter VII (equation (2), conditioning by kriging)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.exact.law import draws
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.observations import LinearMeasurement, Projection

NODES, WIDTH = 40_001, 9.0
"""Nodes of the grid of z for each mode, and how many standard deviations it reaches to either side."""


def given_linear(law: Mixture, observation: LinearMeasurement) -> tuple[Mixture, float]:
    """Equation (1): the posterior, and log p(y) in nats. `law` and `observation` are of the same event shape."""
    a = observation.matrix().to(law.centres)
    covariances = _covariances(law)
    carried = covariances @ a.mT
    s = a @ carried + observation.std**2 * torch.eye(len(a)).to(a)
    residuals = observation.y.to(a).flatten() - law.centres @ a.mT
    gains = torch.linalg.solve(s, carried.mT).mT
    means = law.centres + torch.einsum("kij,kj->ki", gains, residuals)
    after = covariances - gains @ carried.mT
    seen = torch.distributions.MultivariateNormal(torch.zeros_like(residuals), s).log_prob(residuals)
    logs = law.log_weights + seen
    posterior = Mixture(logs.softmax(0), means.reshape(-1, *law.event_shape), (after + after.mT) / 2)
    return posterior, logs.logsumexp(0).item()


@dataclass(frozen=True)
class ScalarPosterior:
    """The posterior of a mixture given p(y | z) of one projection z, by quadrature over z.

    Attributes:
        law: the prior, every mode of positive variance along the projection.
        observation: what was seen.
    """

    law: Mixture
    observation: Projection

    def _projected(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of each mode C_k a (K, d), and the mean and the standard deviation of z, (K,)."""
        a = self.observation.direction.to(self.law.centres).flatten()
        carried = _covariances(self.law) @ a
        return carried, self.law.centres @ a + self.observation.offset, (carried @ a).sqrt()

    def _masses(self) -> tuple[Tensor, Tensor]:
        """The nodes z (K, NODES), and log p(k, y, z) dz at each."""
        _, means, deviations = self._projected()
        unit = torch.linspace(-WIDTH, WIDTH, NODES, dtype=means.dtype, device=means.device)
        z = means.unsqueeze(1) + deviations.unsqueeze(1) * unit
        log_normal = -unit.square() / 2 - math.log(math.sqrt(2 * math.pi)) + math.log(2 * WIDTH / (NODES - 1))
        return z, self.law.log_weights.unsqueeze(1) + log_normal + self.observation.log_likelihood(z)

    def log_evidence(self) -> float:
        """log p(y) in nats."""
        return self._masses()[1].flatten().logsumexp(0).item()

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x_0 | y), shape (B,), for x of shape (B, *E)."""
        return self.law.log_prob(x) + self.observation.log_prob(x) - self.log_evidence()

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws, shape (n, *E): a mode and a z, the latter to the distance of two nodes, then equation (2)."""
        z, logs = self._masses()
        chance = logs.flatten().softmax(0).cumsum(0)
        u = torch.rand(draws(n), generator=generator, dtype=chance.dtype)
        chosen = torch.searchsorted(chance, u * chance[-1]).clamp(max=len(chance) - 1)
        modes = chosen // NODES
        carried, _, deviations = self._projected()
        x = self._of_modes(modes, generator)
        gap = (z.flatten()[chosen] - self.observation.project(x.reshape(n, *self.law.event_shape))) / deviations[
            modes
        ] ** 2
        return (x + carried[modes] * gap.unsqueeze(1)).reshape(n, *self.law.event_shape)

    def _of_modes(self, modes: Tensor, generator: torch.Generator | None) -> Tensor:
        """A draw of each one's mode, shape (n, d)."""
        law, noise = (
            self.law,
            torch.randn(len(modes), self.law.centres.shape[1], generator=generator, dtype=self.law.dtype),
        )
        steps = law.spectrum[modes].sqrt() * noise
        return law.centres[modes] + (
            steps if law.basis is None else torch.einsum("nij,nj->ni", law.basis[modes], steps)
        )


def _covariances(law: Mixture) -> Tensor:
    """C_k, shape (K, d, d)."""
    if law.basis is None:
        return torch.diag_embed(law.spectrum)
    return (law.basis * law.spectrum.unsqueeze(1)) @ law.basis.mT
