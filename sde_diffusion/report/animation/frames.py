"""An animation of the forward and reverse process: two panels and a time bar in each frame; and a strip of stills."""

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
    """One frame: the time, whether the process is the reverse one, and the two panels."""

    time: float
    reverse: bool
    left: Panel
    right: Panel


@dataclass(frozen=True)
class Captions:
    """The words of an animation: title, titles of both panels, and names of both processes."""

    title: str
    left: str
    right: str
    forward: str = "forward: data to noise"
    reverse: str = "reverse: noise to data"


def write_film(
    frames: Sequence[Frame], captions: Captions, gif: Path, strip: Path, stills: int = 5
) -> tuple[Path, Path]:
    """Write the frames as a GIF, which pauses at the ends of both processes, and `stills` of each as a PNG strip."""
    turns = {i for i in range(1, len(frames)) if frames[i].reverse != frames[i - 1].reverse}
    pauses = {0, len(frames) - 1, *turns}
    write_gif(_drawn(frames, captions), gif, [1.2 if i in pauses else 0.07 for i in range(len(frames))])
    return gif, _strip(frames, captions, strip, stills)


def _drawn(frames: Sequence[Frame], captions: Captions) -> Iterator[np.ndarray]:
    with figure(8.0, 5.0, dpi=70) as drawing:
        drawing.set_layout_engine("none")
        drawing.text(0.5, 0.955, literal(captions.title), ha="center", va="center", fontsize=12, fontweight="bold")
        axes = [drawing.add_axes((left, 0.275, 0.4, 0.6)) for left in (0.075, 0.575)]
        for axis, title in zip(axes, (captions.left, captions.right), strict=True):
            axis.set_title(title, fontweight="normal")
        artists = [panel.draw(axis) for axis, panel in zip(axes, (frames[0].left, frames[0].right), strict=True)]
        bar = _TimeBar(drawing, max(frame.time for frame in frames))
        for frame in frames:
            for artist, panel in zip(artists, (frame.left, frame.right), strict=True):
                panel.update(artist)
            bar.show(frame, captions)
            drawing.canvas.draw()
            yield np.asarray(drawing.canvas.buffer_rgba())[..., :3].copy()  # pyright: ignore[reportAttributeAccessIssue]


class _TimeBar:
    """A bar under the panels, as long as the time, in the colour of the process."""

    def __init__(self, drawing, horizon: float) -> None:
        axis = drawing.add_axes((0.075, 0.07, 0.9, 0.032))
        axis.barh(0, horizon, color="#E4E4E4", height=1)
        axis.set(xlim=(0, horizon), ylim=(-0.5, 0.5), yticks=[])
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        (self.bar,) = axis.barh(0, 0, height=1)
        self.words = axis.set_title("", fontweight="normal", fontsize=10)

    def show(self, frame: Frame, captions: Captions) -> None:
        """Set the bar and the words to a frame."""
        process, ink = (captions.reverse, colour(1)) if frame.reverse else (captions.forward, colour(0))
        self.bar.set(width=frame.time, color=ink)
        self.words.set(text=f"{process},  t = {frame.time:.2f}", color=ink)


def _strip(frames: Sequence[Frame], captions: Captions, path: Path, stills: int) -> Path:
    """Two rows of stills, each process in `stills` columns; every panel shows the whole of its own content."""
    processes = [[frame for frame in frames if frame.reverse is reverse] for reverse in (False, True)]
    chosen = [process[i] for process in processes for i in spread(len(process), stills)]
    with figure(1.6 * len(chosen) + 0.5, 4.1) as drawing:
        drawing.suptitle(literal(captions.title), fontsize=12, fontweight="bold")
        axes = drawing.subplots(2, len(chosen))
        for column, frame in zip(axes.T, chosen, strict=True):
            for axis, panel in zip(column, (frame.left, frame.right), strict=True):
                panel.draw(axis)
                panel.zoom(axis)
                axis.set(xticks=[], yticks=[], xlabel="", ylabel="")
            ink = colour(int(frame.reverse))
            column[0].set_title(f"t = {frame.time:.2f}", color=ink, fontweight="normal", fontsize=10)
        for axis, words in zip(axes[:, 0], (captions.left, captions.right), strict=True):
            axis.set_axis_on()
            axis.spines[:].set_visible(False)
            axis.set_ylabel(words, fontsize=9)
        names = (captions.forward, captions.reverse)
        drawing.supxlabel("blue: {};   orange: {}".format(*names), fontsize=10)
        return save(drawing, path)
