"""Hypothesis strategies for the kit's objects: processes, times, event shapes, laws, noise levels.

@given(sde=strategies.linear_sdes(), u=strategies.unit)
"""

from __future__ import annotations

from typing import Any

import torch

from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.kernel import Kernel
from sde_diffusion.sde import DDPM, EDM, VE, VP, Brownian, Cosine, LinearSDE, Rectified, SubVP


def processes() -> dict[type[LinearSDE], Any]:
    """A strategy for each process of this library, with random parameters."""
    from hypothesis import strategies as st

    beta_min, beta_max, horizon = st.floats(0.01, 1.0), st.floats(1.0, 40.0), st.floats(0.5, 3.0)
    return {
        VP: st.builds(VP, beta_min, beta_max, horizon),
        SubVP: st.builds(SubVP, beta_min, beta_max, horizon),
        VE: st.builds(VE, st.floats(1e-3, 0.1), st.floats(1.0, 1e3), horizon),
        Brownian: st.builds(Brownian, st.floats(0.5, 500.0)),
        Cosine: st.builds(Cosine, st.floats(0.9, 0.9999)),
        EDM: st.builds(EDM, st.floats(1.0, 200.0), st.floats(1e-4, 0.1)),
        Rectified: st.builds(Rectified, st.floats(0.9, 0.9999)),
        DDPM: st.builds(DDPM, st.lists(st.floats(1e-4, 0.5), min_size=2, max_size=50), horizon),
    }


def linear_sdes() -> Any:
    """Any process of this library, with random parameters."""
    from hypothesis import strategies as st

    return st.one_of(*processes().values())


def times(sde: LinearSDE) -> Any:
    """Times of a process, from t_min to its horizon: at equal odds in t and in log t, and its ends."""
    from hypothesis import strategies as st

    low, high = max(sde.t_min, 1e-4 * sde.horizon), sde.horizon
    ratios = st.floats(0.0, 1.0).map(lambda u: min(low * (high / low) ** u, high))
    return st.one_of(st.floats(low, high), ratios, st.just(low), st.just(high))


def event_shapes(largest: int = 4, most: int = 3) -> Any:
    """Event shapes *E of rank 0 to `most`, each side 1 to `largest`."""
    from hypothesis import strategies as st

    return st.lists(st.integers(1, largest), max_size=most).map(tuple)


def dtypes() -> Any:
    """float32 and float64."""
    from hypothesis import strategies as st

    return st.sampled_from([torch.float32, torch.float64])


def kernels(smallest: float = 1e-3, largest: float = 1e2) -> Any:
    """Channels: alpha in [0.01, 1], sigma/alpha between the two at equal odds in its logarithm."""
    from hypothesis import strategies as st

    ratio = st.floats(0.0, 1.0).map(lambda u: smallest * (largest / smallest) ** u)
    return st.builds(lambda alpha, kappa: Kernel(alpha, alpha * kappa), st.floats(0.01, 1.0), ratio)


def gaussians(event_shape: tuple[int, ...] = (2,)) -> Any:
    """Diagonal Gaussian laws over samples of one shape."""
    from hypothesis import strategies as st

    d = torch.Size(event_shape).numel()
    numbers = st.lists(st.floats(-2.0, 2.0), min_size=d, max_size=d)
    variances = st.lists(st.floats(0.05, 2.0), min_size=d, max_size=d)
    shaped = lambda values: torch.tensor(values, dtype=torch.float64).reshape(event_shape)  # noqa: E731
    return st.builds(lambda m, v: Gaussian.diagonal(shaped(m), shaped(v)), numbers, variances)


def mixtures(event_shape: tuple[int, ...] = (2,), modes: int = 4) -> Any:
    """Mixtures of one to `modes` isotropic Gaussians over samples of one shape."""
    from hypothesis import strategies as st

    d = torch.Size(event_shape).numel()

    def law(count: int) -> Any:
        means = st.lists(st.floats(-2.0, 2.0), min_size=count * d, max_size=count * d)
        numbers = st.lists(st.floats(0.1, 1.0), min_size=count, max_size=count)
        return st.builds(lambda w, m, v: _mixture(w, m, v, event_shape), numbers, means, numbers)

    return st.integers(1, modes).flatmap(law)


def _mixture(
    weights: list[float], means: list[float], deviations: list[float], event_shape: tuple[int, ...]
) -> Mixture:
    mass, centres = torch.tensor(weights, dtype=torch.float64), torch.tensor(means, dtype=torch.float64)
    variances = torch.tensor(deviations, dtype=torch.float64) ** 2
    return Mixture(mass / mass.sum(), centres.reshape(len(weights), *event_shape), variances)
