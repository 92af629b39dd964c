r"""A reference for the probability-flow ODE of a known law, accurate to about ten digits, by SciPy's solver.

Whatever the process, its probability-flow ODE moves x_t along a curve of channels (alpha, sigma), and only the ratio of
the two matters. With r = sqrt(alpha^2 + sigma^2), cos = alpha/r, sin = sigma/r, the state and the time variable

    z = x / r,    w = -arsinh(alpha / sigma),    so that cos = -tanh w, sin = sech w,                              (1)

turn the equation into

    dz/dw = cos z - D(z; cos, sin),    D(z; cos, sin) = E[x_0 | x_t] behind the channel (cos, sin).                (2)

Derivation: in kappa = sigma/alpha the data form y = x/alpha obeys dy/dkappa = (y - D)/kappa. With theta = arctan(kappa)
and z = y cos(theta) this is dz/dtheta = (cos z - D)/sin, and dw = dtheta/sin because w = log tan(theta/2). Equation (2)
divides by nothing: it starts at alpha = 0 (w = 0) as at any other level, and w ~ log(kappa/2) resolves small noise.

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.10 (DOP853)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.exact.law import Law
from sde_diffusion.kernel import Kernel

FLOOR = 3e-14
"""The smallest relative tolerance DOP853 can honour in float64."""


def flow_end_point(
    law: Law,
    kernel: Callable[[float], Kernel],
    x: Tensor,
    start: float,
    stop: float,
    tol: float = 1e-12,
    block: int = 64,
) -> Tensor:
    """Where the probability-flow ODE carries x (B, *E) from time `start` to `stop`, in either direction, in float64.

    `kernel` gives the channel of a time (the `kernel` of a linear SDE). `tol` bounds the local error of every number of
    x / r, relative and absolute, down to `FLOOR`. Points are solved `block` at a time, so that a hard one shortens the
    steps of few. Raises ValueError where sigma is 0 and for a law that is not in float64.
    """
    if law.dtype != torch.float64:
        raise ValueError(f"a reference is computed in float64, got a law in {law.dtype}; give law.to(torch.float64)")
    (r_t, w_t), (r_s, w_s) = _chart(kernel(start)), _chart(kernel(stop))
    z = x.to(law.device, torch.float64) / r_t
    return r_s * torch.cat([_solve(law, points, w_t, w_s, tol) for points in z.split(block)])


def _chart(kernel: Kernel) -> tuple[float, float]:
    """(r, w) of equation (1)."""
    alpha, sigma = float(kernel.alpha), float(kernel.sigma)
    if not sigma > 0:
        raise ValueError(f"the flow has no finite clock where sigma = {sigma}; stop at a time with sigma > 0")
    return math.hypot(alpha, sigma), -math.asinh(alpha / sigma)


def _solve(law: Law, z: Tensor, start: float, stop: float, tol: float) -> Tensor:
    """Equation (2) by DOP853. Its error norm is a mean square over n numbers: tol / sqrt(n) bounds the largest."""
    from scipy.integrate import solve_ivp

    def slope(w: float, state: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(state).to(z).reshape(z.shape)
        cos, sin = -math.tanh(w), 1 / math.cosh(w)
        return (cos * at - law.denoise(at, Kernel(cos, sin))).reshape(-1).cpu().numpy()

    if start == stop or not z.numel():
        return z
    sharp = max(tol / math.sqrt(z.numel()), FLOOR)
    begin = z.reshape(-1).cpu().numpy()
    found = solve_ivp(slope, (start, stop), begin, "DOP853", t_eval=[stop], rtol=sharp, atol=sharp)
    if not found.success:
        raise ArithmeticError(f"the reference flow did not reach its end: {found.message}; loosen tol = {tol}")
    return torch.from_numpy(found.y[:, -1]).to(z).reshape(z.shape)
