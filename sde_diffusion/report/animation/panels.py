"""What a frame of a film shows on one pair of axes: points, a density on the plane, or pictures.

`draw` makes an artist of matplotlib for the first frame, `renew` gives that artist the next panel of its kind: a film
draws its axes once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sde_diffusion.report.plots.style import DENSITY, colour


@dataclass(frozen=True)
class Cloud:
    """Points (N, 2) in the square |x| <= reach; `groups` (N,), integers, choose their colours."""

    points: Tensor
    groups: Tensor
    reach: float

    def draw(self, axis):
        """Draw them as small discs."""
        _square(axis, self.reach)
        return self.renew(axis.scatter([], [], s=5, alpha=0.65, linewidths=0))

    def renew(self, artist):
        """Move the discs."""
        artist.set_offsets(self.points.detach().cpu().double().numpy())
        artist.set_facecolors([colour(k) for k in self.groups.tolist()])
        return artist


@dataclass(frozen=True)
class Heat:
    """A density (M, M) on the square |x| <= reach, the first index along y, scaled to its own maximum."""

    values: Tensor
    reach: float

    def draw(self, axis):
        """Draw it as a map of few colours; the square root shows the tails."""
        from matplotlib import colormaps

        ends, colours = (-self.reach, self.reach, -self.reach, self.reach), colormaps[DENSITY].resampled(24)
        artist = axis.imshow(self._scaled(), extent=ends, origin="lower", cmap=colours, vmin=0, vmax=1)
        _square(axis, self.reach)
        return artist

    def renew(self, artist):
        """Exchange the values."""
        artist.set_data(self._scaled())
        return artist

    def _scaled(self) -> np.ndarray:
        return (self.values / self.values.max()).sqrt().cpu().numpy()


@dataclass(frozen=True)
class Tiles:
    """Pictures already laid out as pixels, uint8 (H, W, 3)."""

    pixels: np.ndarray

    def draw(self, axis):
        """Draw them without axes."""
        axis.set_axis_off()
        return axis.imshow(self.pixels, interpolation="nearest")

    def renew(self, artist):
        """Exchange the pixels."""
        artist.set_data(self.pixels)
        return artist


Panel = Cloud | Heat | Tiles


def _square(axis, reach: float) -> None:
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    axis.grid(visible=False)
