"""A film of a diffusion there and back: two panels and a time line a frame, and the same as a strip of stills."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sde_diffusion.report.animation.gif import spread, write_gif
from sde_diffusion.report.animation.panels import Panel
from sde_diffusion.report.plots.style import (
    colour,
    figure,
    literal,
    save,
)


@dataclass(frozen=True)
class Frame:
    """One moment: the time, the way it runs, and what to show on the left and on the right."""

    time: float
    backward: bool
    left: Panel
    right: Panel


@dataclass(frozen=True)
class Captions:
    """The words of a film: the heads of both panels, and the names of both ways."""

    title: str
    left: str
    right: str
    there: str = "forward: data to noise"
    back: str = "reverse: noise to data"


def film(scenes: Sequence[Frame], script: Captions, gif: Path, strip: Path, stills: int = 5) -> tuple[Path, Path]:
    """Write the scenes as a GIF, which rests at the ends of both ways, and `stills` of each way as a PNG strip."""
    turns = {0, len(scenes) - 1, *(i for i in range(1, len(scenes)) if scenes[i].backward != scenes[i - 1].backward)}
    stays = [1.2 if i in turns else 0.07 for i in range(len(scenes))]
    write_gif(_frames(scenes, script), gif, stays)
    return gif, _strip(scenes, script, strip, stills)


def _frames(scenes: Sequence[Frame], script: Captions) -> Iterator[np.ndarray]:
    with figure(8.0, 5.0, dpi=70) as drawing:
        drawing.set_layout_engine("none")
        drawing.text(0.5, 0.955, literal(script.title), ha="center", va="center", fontsize=12, fontweight="bold")
        axes = [drawing.add_axes((left, 0.275, 0.4, 0.6)) for left in (0.075, 0.575)]
        for axis, title in zip(axes, (script.left, script.right), strict=True):
            axis.set_title(title, fontweight="normal")
        artists = [panel.draw(axis) for axis, panel in zip(axes, (scenes[0].left, scenes[0].right), strict=True)]
        clock = _Clock(drawing, max(scene.time for scene in scenes))
        for scene in scenes:
            for artist, panel in zip(artists, (scene.left, scene.right), strict=True):
                panel.renew(artist)
            clock.show(scene, script)
            drawing.canvas.draw()
            yield np.asarray(drawing.canvas.buffer_rgba())[..., :3].copy()  # pyright: ignore[reportAttributeAccessIssue]


class _Clock:
    """The time line under the panels: a bar as long as the time, in the colour of the way it runs."""

    def __init__(self, drawing, horizon: float) -> None:
        axis = drawing.add_axes((0.075, 0.07, 0.9, 0.032))
        axis.barh(0, horizon, color="#E4E4E4", height=1)
        axis.set(xlim=(0, horizon), ylim=(-0.5, 0.5), yticks=[])
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        (self.bar,) = axis.barh(0, 0, height=1)
        self.words = axis.set_title("", fontweight="normal", fontsize=10)

    def show(self, scene: Frame, script: Captions) -> None:
        """Set the bar and the words to a scene."""
        way, ink = (script.back, colour(1)) if scene.backward else (script.there, colour(0))
        self.bar.set(width=scene.time, color=ink)
        self.words.set(text=f"{way},  t = {scene.time:.2f}", color=ink)


def _strip(scenes: Sequence[Frame], script: Captions, path: Path, stills: int) -> Path:
    ways = [[scene for scene in scenes if scene.backward is backward] for backward in (False, True)]
    chosen = [way[i] for way in ways for i in spread(len(way), stills)]
    with figure(1.6 * len(chosen) + 0.3, 3.85) as drawing:
        drawing.suptitle(f"{literal(script.title)}   {script.there}; {script.back}", fontsize=11, fontweight="bold")
        axes = drawing.subplots(2, len(chosen))
        for column, scene in zip(axes.T, chosen, strict=True):
            for axis, panel in zip(column, (scene.left, scene.right), strict=True):
                panel.draw(axis)
                axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
            ink = colour(int(scene.backward))
            column[0].set_title(f"t = {scene.time:.2f}", color=ink, fontweight="normal", fontsize=10)
        for axis, words in zip(axes[:, 0], (script.left, script.right), strict=True):
            axis.text(-0.12, 0.5, words, rotation=90, ha="center", va="center", transform=axis.transAxes, fontsize=9)
        return save(drawing, path)
