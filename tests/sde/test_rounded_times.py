"""Times that their own dtype rounds: the horizon is accepted by every process, and is the horizon."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.plugins import implementations
from sde_diffusion.sde import LinearSDE

HORIZONS = (0.999, 0.7, 0.1, 1 / 3, 2.3, 80.7)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def number(value) -> torch.Tensor:
    return torch.as_tensor(value, dtype=torch.float64)


def processes():
    """Every process at its own horizon and at those of HORIZONS that it allows."""
    for make in implementations("sde_diffusion.sde", LinearSDE).values():
        yield make()
        for horizon in HORIZONS:
            try:
                yield make(horizon=horizon)
            except (TypeError, ValueError):
                continue  # a process that ends before 1, or has a horizon of its own


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_horizon_in_any_dtype_is_the_horizon(dtype):
    """Moments to the rounding of the time downwards, and never beyond the end, where a signal or f may be infinite."""
    for sde in processes():
        t, x = torch.full((4,), sde.horizon, dtype=dtype), torch.ones(4, 2, dtype=torch.float64)
        mean, std = sde.marginal(x, t)
        exact = min(t[0].item(), sde.horizon)
        assert torch.allclose(mean[0, 0], number(sde.alpha(exact)), rtol=1e-12, atol=0), sde
        assert torch.allclose(std.flatten()[0], number(sde.sigma(exact)), rtol=1e-12, atol=0), sde
        assert torch.isfinite(torch.as_tensor(sde.kernel(t).log_snr)).all(), sde
        assert sde.drift(x, t).isfinite().all(), sde
        assert torch.as_tensor(sde.diffusion(t)).isfinite().all(), sde


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_transitions_of_rounded_times_are_computed_in_float64(dtype):
    for sde in processes():
        t, s = torch.full((4,), sde.horizon, dtype=dtype), torch.full((4,), sde.horizon / 2, dtype=dtype)
        kernel = sde.transition(t, s)
        other = sde.transition(min(t[0].item(), sde.horizon), s[0].item())
        assert torch.allclose(torch.as_tensor(kernel.alpha)[0], number(other.alpha), rtol=1e-9, atol=0), sde
        assert torch.allclose(torch.as_tensor(kernel.sigma)[0], number(other.sigma), rtol=1e-9, atol=0), sde


def test_a_time_beyond_the_horizon_is_refused_in_any_dtype():
    for sde in processes():
        for dtype in DTYPES:
            with pytest.raises(ValueError, match="is defined for"):
                sde.marginal(torch.ones(2, 2), torch.full((2,), 1.05 * sde.horizon, dtype=dtype))
