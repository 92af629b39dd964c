"""One panel of an animation frame: points, a density on the plane, or images.

`draw` makes a matplotlib artist for the first frame, `update` gives that artist the next panel's content: the axes are drawn
once. `zoom` fits the axes to this panel alone, for stills.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
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
        return self.update(axis.scatter([], [], s=5, alpha=0.65, linewidths=0))

    def update(self, artist):
        """Move the discs."""
        artist.set_offsets(self.points.detach().cpu().double().numpy())
        artist.set_facecolors([colour(k) for k in self.groups.tolist()])
        return artist

    def zoom(self, axis) -> None:
        """Fit the axes to nearly all of the points."""
        _limits(axis, 1.15 * float(self.points.abs().quantile(0.99)))


@dataclass(frozen=True)
class Heat:
    """A density (M, M) on the square |x| <= reach, the first index along y, scaled to its own maximum."""

    values: Tensor
    reach: float

    def draw(self, axis):
        """Draw its square root, which shows the tails, in few colours."""
        from matplotlib import colormaps

        ends, colours = (-self.reach, self.reach, -self.reach, self.reach), colormaps[DENSITY].resampled(24)
        artist = axis.imshow(self._scaled(), extent=ends, origin="lower", cmap=colours, vmin=0, vmax=1)
        _square(axis, self.reach)
        return artist

    def update(self, artist):
        """Set the values."""
        artist.set_data(self._scaled())
        return artist

    def zoom(self, axis) -> None:
        """Fit the axes to where the density is at least a thousandth of its maximum."""
        side = len(self.values)
        place = torch.linspace(-self.reach, self.reach, side, dtype=torch.float64, device=self.values.device).abs()
        visible = self.values >= 1e-3 * self.values.max()
        reach = max(float(place[visible.any(dim)].max()) for dim in (0, 1))
        _limits(axis, min(1.1 * reach, self.reach))

    def _scaled(self) -> np.ndarray:
        return (self.values / self.values.max()).sqrt().cpu().numpy()


@dataclass(frozen=True)
class Tiles:
    """Images already laid out as pixels, uint8 (H, W, 3)."""

    pixels: np.ndarray

    def draw(self, axis):
        """Draw them without axes."""
        axis.set_axis_off()
        return axis.imshow(self.pixels, interpolation="nearest")

    def update(self, artist):
        """Set the pixels."""
        artist.set_data(self.pixels)
        return artist

    def zoom(self, axis) -> None:
        """Images fill their axes already."""


Panel = Cloud | Heat | Tiles


def _limits(axis, reach: float) -> None:
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach))


def _square(axis, reach: float) -> None:
    axis.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    axis.grid(visible=False)
