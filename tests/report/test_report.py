"""Pages are inert whatever their text is, and pictures show what they are given."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sde_diffusion.exact import ExactDenoiser, problems
from sde_diffusion.report.animation.gif import FEW, MANY, spread, write_gif
from sde_diffusion.report.animation.simulate import frame_times, simulate_forward, simulate_reverse
from sde_diffusion.report.page import Grid, Heading, Listing, Paragraph, Picture, write_page
from sde_diffusion.report.plain_data import report_json
from sde_diffusion.report.plots.bars import MetricRow
from sde_diffusion.report.plots.cost import Line, Panel, cost_plot
from sde_diffusion.report.plots.images import image_grid, tiled, to_pixels
from sde_diffusion.report.plots.style import AT_AN_EDGE, figure, save, with_palette
from sde_diffusion.report.plots.training import running_mean
from sde_diffusion.report.table import Table
from sde_diffusion.sde import VE, VP

ROOT = Path(__file__).parents[2]
EVIL = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "[x](javascript:alert(1)) ![y](https://evil.example/z.png)",
    "line\u2028separator</style></title>",
    "&lt;b&gt; & | `code` *bold* <!-- comment -->",
    "# heading\n\n<iframe src='https://evil.example'>",
]


class Reader(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def picture(tmp_path):
    return image_grid(torch.zeros(4, 1, 2, 2), tmp_path / "x.png")


@pytest.mark.parametrize("evil", EVIL)
def test_a_page_says_evil_words_and_does_nothing(tmp_path, picture, evil):
    table = Grid(Table((evil, "b"), [(evil, "1"), ("a", evil)]))
    blocks = [Heading(evil), Paragraph(evil), Listing(evil), table, Picture(picture, evil)]
    markdown, html = write_page(tmp_path, evil, blocks)
    read = Reader()
    read.feed(html.read_text(encoding="utf-8"))
    ours = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "pre", "figure", "img", "figcaption"}
    ours |= {"div", "table", "thead", "tbody", "tr", "th", "td"}
    assert {tag for tag, _ in read.tags} == ours
    assert not any(name.startswith("on") or name == "href" for _, attributes in read.tags for name in attributes)
    sources = [attributes["src"] for _, attributes in read.tags if "src" in attributes]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,")
    assert "".join(read.words).count(evil) == 9  # title and h1, h2, p, pre, three cells, the caption
    quoted = "\n".join(line for line in markdown.read_text(encoding="utf-8").splitlines() if line[:4] != "    ")
    assert "<script" not in quoted
    assert "<i" not in quoted
    assert "](java" not in quoted
    assert quoted.count("![") == 1


def test_the_page_forbids_itself_everything_but_its_own_pictures(tmp_path):
    _, html = write_page(tmp_path, "t", [])
    assert "default-src 'none'; img-src data:;" in html.read_text(encoding="utf-8")


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 cells"):
        Table(("a", "b"), [("1",)])


def test_pixels_are_the_numbers():
    x = torch.tensor([-1.0, 0.0, 1.0, 7.0]).reshape(1, 1, 2, 2)
    assert to_pixels(x)[0, ..., 0].tolist() == [[0, 128], [255, 255]]
    with pytest.raises(ValueError, match="images have shape"):
        to_pixels(torch.zeros(3, 2))


def test_tiles_stand_where_they_should():
    """Five pictures, each of one grey, in rows of three: every pixel of every tile."""
    x = torch.linspace(-1, 1, 5).reshape(5, 1, 1, 1).expand(5, 1, 4, 3)
    canvas = tiled(x, columns=3, zoom=2)
    assert canvas.shape == (2 * 8 + 2, 3 * 6 + 2 * 2, 3)
    for index, grey in enumerate((0, 64, 128, 191, 255)):
        row, column = divmod(index, 3)
        assert (canvas[row * 10 : row * 10 + 8, column * 8 : column * 8 + 6] == grey).all()
    assert (canvas[8:10] == 255).all()


def test_the_running_mean_is_a_mean():
    values = np.random.default_rng(0).normal(size=50)
    halves = [min(3, i) for i in range(50)]
    expected = [values[i - half : i + half + 1].mean() for i, half in enumerate(halves)]
    np.testing.assert_allclose(running_mean(values, 7), expected, rtol=1e-12)
    np.testing.assert_allclose(running_mean(np.arange(9.0), 5)[:7], np.arange(7.0))  # a line has no lag


def test_a_metric_is_a_ratio_to_real_data_or_a_difference_in_half_widths():
    ratio = MetricRow("Frechet", (6.0, 5.0, 7.0), (2.0, 1.0, 4.0), ratio=True)
    assert ratio.scaled(ratio.samples) == (3.0, 2.5, 3.5)
    assert ratio.scaled(ratio.real) == (1.0, 0.5, 2.0)
    difference = MetricRow("KID", (5.0, 3.0, 7.0), (1.0, -1.0, 3.0), ratio=False)
    assert difference.scaled(difference.samples) == (2.0, 1.0, 3.0)
    assert difference.scaled(difference.real) == (0.0, -1.0, 1.0)


def test_a_grid_of_images_is_about_800_wide(tmp_path):
    for count, side in ((16, 8), (64, 8), (4, 32), (1, 28)):
        with Image.open(image_grid(torch.zeros(count, 1, side, side), tmp_path / "x.png")) as grid:
            assert 700 <= grid.width <= 900


def test_a_number_that_is_not_finite_is_null():
    found = json.loads(report_json({"a": float("nan"), "b": [1.0, (float("inf"), 2)], "c": {"d": -float("inf")}}))
    assert found == {"a": None, "b": [1.0, [None, 2]], "c": {"d": None}}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_table_prints_on_any_terminal(monkeypatch, encoding):
    """What the terminal cannot show becomes a question mark; the rest is there."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    Table(("error", "b"), [("1 ± 2 → 3", "x")], "title").print()
    shown = raw.getvalue().decode(encoding)
    assert "title" in shown
    assert ("1 ? 2 ? 3" if encoding == "ascii" else "1 ± 2 ? 3") in shown


def test_a_closed_pipe_is_no_error():
    """In a process of its own: nothing on standard error, exit code 0, and the work after the table is done."""
    code = (
        "from sde_diffusion.report.table import Table\nfrom sde_diffusion.io.terminal import say\nimport sys\n"
        "for _ in range(3): Table(('a',), [('1',)] * 999).print(); say('x')\nprint('done', file=sys.stderr)"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "done\n")


def test_a_film_keeps_its_frames_and_its_pace(tmp_path):
    frames = [np.full((5, 6, 3), grey, dtype=np.uint8) for grey in (0, 100, 200)]
    with Image.open(write_gif(frames, tmp_path / "x.gif", [0.5, 0.1, 0.2])) as film:
        shown = []
        for index in range(film.n_frames):
            film.seek(index)
            shown.append((film.convert("RGB").getpixel((2, 2))[0], film.info["duration"]))
    assert shown == [(0, 500), (100, 100), (200, 200)]
    with pytest.raises(ValueError, match="at least one frame"):
        write_gif([], tmp_path / "y.gif")


def test_a_film_of_photographs_has_more_colours_than_one_of_drawings(tmp_path):
    """And at most as many as a palette holds; a drawing's few colours stay what they are."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    drawing = np.random.default_rng(0).choice(
        np.array([[0, 0, 0], [255, 255, 255], [213, 94, 0]], dtype=np.uint8), (40, 40)
    )
    counts = []
    for frame in (drawing, noise):
        with Image.open(write_gif([frame, frame[::-1]], tmp_path / "x.gif")) as film:
            shown = np.asarray(film.convert("RGB"))
        counts.append(len(np.unique(shown.reshape(-1, 3), axis=0)))
        if frame is drawing:
            assert (shown == drawing).all()
    assert counts[0] == 3
    assert FEW < counts[1] <= MANY


def test_a_palette_changes_no_grey():
    greys = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    found = with_palette(Image.fromarray(greys))
    assert found.mode == "P"
    assert (np.asarray(found.convert("RGB")) == greys).all()


@pytest.mark.parametrize("side", [40, 160])
def test_colours_that_no_palette_holds_stay(side):
    """1,600 colours all over the cube, and more than a drawing has."""
    colours = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    found = with_palette(Image.fromarray(colours))
    assert found.mode == "RGB"
    assert (np.asarray(found) == colours).all()


def test_a_figure_is_saved_with_its_size_and_its_resolution(tmp_path):
    with figure(2.0, 1.5) as drawing:
        drawing.subplots().plot([0, 1], [0, 1])
        with Image.open(save(drawing, tmp_path / "a" / "x.png")) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "P", (240, 180))
            assert picture.info["dpi"] == pytest.approx((120, 120), abs=0.1)
            drawn = np.asarray(picture.convert("RGB"), dtype=float)
        drawing.canvas.figure.set_dpi(120)
        drawing.canvas.draw()
        exact = np.asarray(drawing.canvas.buffer_rgba())[..., :3].astype(float)
    assert np.abs(drawn - exact).max() <= AT_AN_EDGE


@pytest.mark.parametrize(("count", "wanted"), [(1, 5), (3, 5), (11, 3), (100, 7)])
def test_stills_are_spread_from_end_to_end(count, wanted):
    found = spread(count, wanted)
    assert len(found) == min(count, wanted)
    assert (found[0], found[-1]) == (0, count - 1)
    assert len({b - a for a, b in pairwise(found)}) <= 2


def test_what_diverges_does_not_flatten_the_others(tmp_path):
    """The axis ends at most ten times above the typical sampler's largest error; the baseline is inside; a mark says so."""
    from sde_diffusion.report.plots import cost as module

    lines = [Line("a", [1, 2], [1.0, 0.1]), Line("b", [1, 2], [1e30, 0.2])]
    low, high = module._range(Panel("t", "y", lines))
    assert low < 0.1
    assert 1.0 < high <= 16.0
    assert cost_plot([Panel("t", "y", lines, (0.05, 0.3, "real"))], tmp_path / "x.png").stat().st_size > 5000
    assert module._range(Panel("t", "y", lines, (0.05, 0.3, "real")))[0] < 0.05
    for beyond, marks in (([1e30, 0.2], 1), ([float("inf"), float("nan")], 2), ([2.0, 0.2], 0)):
        with figure(3, 3) as drawing:
            axis = drawing.subplots()
            module._draw(axis, Panel("t", "y", [lines[0], Line("b", [1, 2], beyond)]), ["a", "b"])
            drawn = [len(line.get_xdata()) for line in axis.lines if line.get_marker() == "^"]
            assert sum(drawn) == marks
            assert (module.OFF_SCALE in axis.get_legend_handles_labels()[1]) is bool(marks)


def test_a_figure_leaves_the_global_settings_alone(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    with figure(2, 2) as drawing:
        drawing.subplots().plot([1, 2])
        save(drawing, tmp_path / "deep" / "x.png")
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize("sde", [VP(), VE()], ids=["vp", "ve"])
def test_moments_share_the_noise_evenly(sde):
    times = frame_times(sde, 8)
    share = torch.tensor([sde.sigma(t) / (sde.alpha(t) + sde.sigma(t)) for t in times], dtype=torch.float64)
    assert (times[0], times[-1]) == (0.0, sde.horizon)
    torch.testing.assert_close(share.diff(), share.diff().mean().expand(8), rtol=1e-6, atol=1e-9)


def test_the_forward_and_the_reverse_process_end_where_they_should():
    """The forward process ends in the law at the horizon, the reverse process in the data: moments within 5 standard errors."""
    law, sde, count = problems.two(), VP(), 2000
    x0 = law.sample(count, torch.Generator().manual_seed(0))
    times = frame_times(sde, 10)
    forth = list(simulate_forward(sde, x0, times, seed=0, substeps=20))
    home = list(simulate_reverse(sde, ExactDenoiser(law), forth[-1][1], times, seed=1, substeps=20))
    assert [t for t, _ in forth] == times
    assert [t for t, _ in home] == [*reversed(times[1:]), sde.t_min]
    end = law.through(sde.kernel(sde.horizon))
    for x, wanted in ((forth[-1][1], end), (home[-1][1], law)):
        error = (wanted.variance / count).sqrt()
        assert ((x.mean(0) - wanted.mean).abs() < 5 * error).all()
        torch.testing.assert_close(x.var(0), wanted.variance, rtol=0.15, atol=0)
    moved = (law.classify(home[-1][1]) != law.classify(x0)).double().mean().item()
    assert abs(moved - 2 * 0.3 * 0.7) < 5 * (0.42 * 0.58 / count) ** 0.5  # the destination forgets the origin
