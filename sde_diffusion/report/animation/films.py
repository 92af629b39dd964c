"""What a film of a diffusion shows: points beside the exact density, or pictures beside the denoiser's guess.

Imported only when a film is made.
"""

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
    """The scenes and the words."""

    scenes: list[Frame]
    script: Captions


Trajectory = list[tuple[float, Tensor]]


def of_law(law: Law, sde: LinearSDE, count: int | None, frames: int, seed: int) -> Film:
    """Points of a law on the plane beside its exact density at each time; pictures of any other law.

    Raises ValueError for a law of neither kind.
    """
    denoiser = ExactDenoiser(law)
    x0 = law.sample(_number(law.event_shape, count), torch.Generator().manual_seed(seed))
    forth, home = _walks(sde, denoiser, x0, frames, seed)
    if tuple(law.event_shape) != (2,):
        return _pictures(sde, denoiser, forth, home, "An exact denoiser")
    reach = 1.05 * max(float(x.abs().quantile(0.999)) for _, x in forth)
    density = {t: _density(law, sde, t, reach) for t, _ in forth + home}
    return _clouds(forth, home, _groups(law), reach, lambda t, x: Heat(density[t], reach), "exact density")


def of_model(sde: LinearSDE, denoiser: Denoiser, x0: Tensor, count: int | None, frames: int, seed: int) -> Film:
    """Events (N, *E) made noisy and brought back by a trained model, beside what it guesses of the data."""
    shape = tuple(x0.shape[1:])
    x0 = x0[: _number(shape, count)]
    forth, home = _walks(sde, denoiser, x0, frames, seed)
    if shape != (2,):
        return _pictures(sde, denoiser, forth, home, "A trained model")
    reach = 1.05 * max(float(x.abs().quantile(0.999)) for _, x in forth)
    ones = torch.zeros(len(x0), dtype=torch.int64)

    def guess(t: float, x: Tensor) -> Panel:
        return Cloud(_guess(sde, denoiser, t, x), ones, reach)

    return _clouds(forth, home, lambda x: ones, reach, guess, "the model's guess of the data")


def _walks(sde: LinearSDE, denoiser: Denoiser, x0: Tensor, frames: int, seed: int) -> tuple[Trajectory, Trajectory]:
    times = frame_times(sde, frames)
    forth = list(simulate_forward(sde, x0, times, seed))
    return forth, list(simulate_reverse(sde, denoiser, forth[-1][1], times, seed + 1))


def _clouds(
    forth: Trajectory,
    home: Trajectory,
    groups: Callable[[Tensor], Tensor],
    reach: float,
    beside: Callable[..., Panel],
    right: str,
) -> Film:
    """Coloured by the mode that a point comes from on the way there, by the one that it ends in on the way back."""
    begun, ended = groups(forth[0][1]), groups(home[-1][1])
    scenes = [Frame(t, False, Cloud(x, begun, reach), beside(t, x)) for t, x in forth]
    scenes += [Frame(t, True, Cloud(x, ended, reach), beside(t, x)) for t, x in home]
    script = Captions(
        f"{len(begun)} points melt into a Gaussian and come back", "points, each on a Wiener path of its own", right,
        "forward: data to noise, coloured by origin", "reverse: noise to data, coloured by destination",
    )  # fmt: skip
    return Film(scenes, script)


def _pictures(sde: LinearSDE, denoiser: Denoiser, forth: Trajectory, home: Trajectory, who: str) -> Film:
    def scene(t: float, x: Tensor, backward: bool) -> Frame:
        return Frame(t, backward, _tiles(_unit(sde, t, x)), _tiles(_guess(sde, denoiser, t, x)))

    scenes = [scene(t, x, False) for t, x in forth] + [scene(t, x, True) for t, x in home]
    return Film(
        scenes, Captions(f"{who} brings pictures back from noise", "noisy picture", "guess of the clean picture")
    )


def _guess(sde: LinearSDE, denoiser: Denoiser, t: float, x: Tensor) -> Tensor:
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
    return behind.log_prob(points).exp().reshape(MESH, MESH)


def _groups(law: Law) -> Callable[[Tensor], Tensor]:
    if isinstance(law, Mixture):
        return law.classify
    return lambda x: torch.zeros(len(x), dtype=torch.int64)


def _number(event_shape: tuple[int, ...], count: int | None) -> int:
    """How many events to follow: 800 points, or 36 pictures."""
    if tuple(event_shape) != (2,) and not (len(event_shape) == 3 and event_shape[0] in (1, 3)):
        raise ValueError(f"a film shows points (2,) or pictures (1 or 3, H, W), got events {tuple(event_shape)}")
    return count or (800 if tuple(event_shape) == (2,) else 36)
