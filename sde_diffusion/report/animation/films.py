"""The frames of an animation: points beside the exact density, or images beside the denoiser's prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser, Law, Mixture
from sde_diffusion.report.animation.frames import Captions, Frame
from sde_diffusion.report.animation.panels import (
    Cloud,
    Heat,
    Panel,
    Tiles,
)
from sde_diffusion.report.animation.simulate import frame_times, simulate_forward, simulate_reverse
from sde_diffusion.report.plots.images import tiled, zoom_for
from sde_diffusion.sde import LinearSDE

MESH = 101
"""Points a side of the grid on which a density is drawn."""


@dataclass(frozen=True)
class Film:
    """The frames and their captions."""

    frames: list[Frame]
    captions: Captions


Trajectory = list[tuple[float, Tensor]]
"""States (B, *E) and their times, in the order of the simulation."""


def _as_it_is(x: Tensor) -> Tensor:
    return x


def of_law(law: Law, sde: LinearSDE, count: int | None, frames: int, seed: int) -> Film:
    """Points of a law on the plane beside its exact density at each time; images of any other law.

    Raises ValueError for a law of neither kind.
    """
    denoiser = ExactDenoiser(law)
    x0 = law.sample(_number(law.event_shape, count), torch.Generator().manual_seed(seed))
    forward, reverse = _trajectories(sde, denoiser, x0, frames, seed)
    if tuple(law.event_shape) != (2,):
        return _images(sde, denoiser, forward, reverse, "An exact denoiser")
    reach = _reach(sde, forward)
    density = {t: _density(law, sde, t, reach) for t, _ in forward + reverse}
    return _clouds(sde, forward, reverse, _groups(law), reach, lambda t, x: Heat(density[t], reach), "exact density")


def of_model(
    sde: LinearSDE,
    denoiser: Denoiser,
    x0: Tensor,
    count: int | None,
    frames: int,
    seed: int,
    units: Callable[[Tensor], Tensor] = _as_it_is,
) -> Film:
    """Samples of the data (N, *E) made noisy and denoised again by a trained model, beside its prediction of the clean data.

    `x0` is in the model's coordinates; `units` takes images (N, *E) from there to the pixels that are shown.
    """
    shape = tuple(x0.shape[1:])
    x0 = x0[: _number(shape, count)]
    forward, reverse = _trajectories(sde, denoiser, x0, frames, seed)
    if shape != (2,):
        return _images(sde, denoiser, forward, reverse, "A trained model", units)
    reach = _reach(sde, forward)
    ones = torch.zeros(len(x0), dtype=torch.int64)

    def prediction(t: float, x: Tensor) -> Panel:
        return Cloud(_prediction(sde, denoiser, t, x), ones, reach)

    return _clouds(sde, forward, reverse, lambda x: ones, reach, prediction, "predicted clean data")


def _trajectories(
    sde: LinearSDE, denoiser: Denoiser, x0: Tensor, frames: int, seed: int
) -> tuple[Trajectory, Trajectory]:
    times = frame_times(sde, frames)
    forward = list(simulate_forward(sde, x0, times, seed))
    return forward, list(simulate_reverse(sde, denoiser, forward[-1][1], times, seed + 1))


def _clouds(
    sde: LinearSDE,
    forward: Trajectory,
    reverse: Trajectory,
    groups: Callable[[Tensor], Tensor],
    reach: float,
    beside: Callable[..., Panel],
    right: str,
) -> Film:
    """Points coloured by the mode of their start in the forward process, of their end in the reverse process."""
    started, ended = groups(forward[0][1]), groups(reverse[-1][1])
    frames = [Frame(t, False, Cloud(_unit(sde, t, x), started, reach), beside(t, x)) for t, x in forward]
    frames += [Frame(t, True, Cloud(_unit(sde, t, x), ended, reach), beside(t, x)) for t, x in reverse]
    captions = Captions(
        f"{len(started)} points diffuse into a Gaussian, and back", "samples", right,
        "forward: data to noise, coloured by origin", "reverse: noise to data, coloured by destination",
    )  # fmt: skip
    return Film(frames, captions)


def _images(
    sde: LinearSDE,
    denoiser: Denoiser,
    forward: Trajectory,
    reverse: Trajectory,
    who: str,
    units: Callable[[Tensor], Tensor] = _as_it_is,
) -> Film:
    def frame(t: float, x: Tensor, backward: bool) -> Frame:
        return Frame(t, backward, _tiles(units(_unit(sde, t, x))), _tiles(units(_prediction(sde, denoiser, t, x))))

    frames = [frame(t, x, False) for t, x in forward] + [frame(t, x, True) for t, x in reverse]
    return Film(frames, Captions(f"{who} turns noise into images", "noisy image", "predicted clean image"))


def _prediction(sde: LinearSDE, denoiser: Denoiser, t: float, x: Tensor) -> Tensor:
    """E[x_0 | x_t]; at t = 0, x itself."""
    with torch.no_grad():
        return denoiser(x, sde.kernel(t)).float() if t > 0 else x.float()


def _unit(sde: LinearSDE, t: float, x: Tensor) -> Tensor:
    """x_t at the scale of the data: divided by sqrt(alpha^2 + sigma^2), for processes whose variance grows."""
    return (x / float(sde.kernel(t).scale)).float()


def _tiles(x: Tensor) -> Tiles:
    return Tiles(tiled(x, math.ceil(math.sqrt(len(x))), zoom_for(x.shape[-1], 40)))


def _density(law: Law, sde: LinearSDE, t: float, reach: float) -> Tensor:
    axis = torch.linspace(-reach, reach, MESH, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).reshape(-1, 2)
    behind = law if t == 0 else law.through(sde.kernel(t))
    return behind.log_prob(points * float(sde.kernel(t).scale)).exp().reshape(MESH, MESH)


def _reach(sde: LinearSDE, trajectory: Trajectory) -> float:
    """Half the side of a square that holds nearly all points of all times, at the scale of the data."""
    return 1.05 * max(float(_unit(sde, t, x).abs().quantile(0.999)) for t, x in trajectory)


def _groups(law: Law) -> Callable[[Tensor], Tensor]:
    if isinstance(law, Mixture):
        return law.classify
    return lambda x: torch.zeros(len(x), dtype=torch.int64)


def _number(event_shape: tuple[int, ...], count: int | None) -> int:
    """The number of samples shown: 800 points, or 36 images, unless `count` is given."""
    if tuple(event_shape) != (2,) and not (len(event_shape) == 3 and event_shape[0] in (1, 3)):
        raise ValueError(
            f"an animation shows points (2,) or images (1 or 3, H, W), got samples of shape {tuple(event_shape)}"
        )
    return count or (800 if tuple(event_shape) == (2,) else 36)
