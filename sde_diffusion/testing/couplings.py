"""`check_coupling`: whether the pairs of a coupling have the marginals of its two batches.

print(check_coupling(Sinkhorn(0.1)))
print(check_coupling(GaussianCoupling.fit(x0, x1, 1.0), near=x0, far=x1))

A bridge trained on pairs with a wrong marginal ends in a wrong law, however well it is trained. Each point must come as often
as any other, on average over draws; points that the coupling makes must have the means and covariances of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from sde_diffusion.couplings.assignment import assign
from sde_diffusion.couplings.base import Coupling, Pairs
from sde_diffusion.exact.entropic import half_squared_distances
from solvers.testing.report import FULL, QUICK, Finding, Report, reported, run_checks, verdict
from solvers.testing.untouched import untouched, written

DRAWS = {QUICK: 60, FULL: 600}
POINTS = 32
DEVIATIONS = 5.0
"""Standard errors that a frequency or a moment may be off: about one false alarm in 10,000 checks."""
HOME = "sde_diffusion/couplings/base.py"

Call = Callable[[int], Pairs]


def check_coupling(
    coupling: Coupling, level: str = QUICK, *, near: Tensor | None = None, far: Tensor | None = None
) -> Report:
    """The report on a coupling.

    Args:
        near, far: the points (N, *E) to couple, for a coupling that was made for some; 32 in the plane by default.

    Raises:
        TypeError: not a `Coupling`.
        ValueError: an unknown level.
    """
    if not isinstance(coupling, Coupling):
        raise TypeError(f"check_coupling takes a Coupling, got {type(coupling).__name__}; subclass it")
    x0 = _points(0, 1.0) if near is None else near
    x1 = 0.5 * _points(1, 0.5) + 1 if far is None else far
    label = torch.arange(len(x0)) % 3 if coupling.uses_label else None

    def call(seed: int) -> Pairs:
        return coupling(x0, x1, torch.Generator().manual_seed(seed), label)

    checks = [
        ("pairs are made", partial(rows, call, x0, x1)),
        ("marginals", partial(marginals, call, x0, x1, DRAWS.get(level, 0))),
        ("draws", partial(draws, call)),
        ("inputs are left alone", partial(inputs, call, x0, x1)),
        ("cost", partial(cost, call, x0, x1)),
    ]
    if label is not None:
        checks.append(("labels", partial(labels, call, x1, label, DRAWS.get(level, 0))))
    return run_checks(type(coupling).__name__, level, checks)


def rows(call: Call, x0: Tensor, x1: Tensor) -> Iterator[Finding]:
    """Events of the batch's shape and dtype, and the rows that they are said to be."""
    pairs = call(0)
    for name, x, batch, chosen in _sides(pairs, x0, x1):
        fits = x.shape[1:] == batch.shape[1:] and x.dtype == batch.dtype and len(pairs.near) == len(pairs.far)
        yield verdict(
            f"{name} has events of the batch", float(not fits), 0.0, example=f"{tuple(x.shape)} {x.dtype}", read=HOME
        )
        if chosen is not None and fits:
            error = (x - batch[chosen]).abs().max().item()
            cause = f"{name} is permuted and {name}_rows is not, or the other way round"
            yield verdict(f"{name}_rows are the rows of {name}", error, 0.0, cause=cause, read=HOME)


def marginals(call: Call, x0: Tensor, x1: Tensor, count: int) -> Iterator[Finding]:
    """Each point as often as any other; or the batch's means and covariances."""
    drawn = [call(seed) for seed in range(count)]
    for i, (name, batch) in enumerate((("near", x0), ("far", x1))):
        sides = [_sides(pairs, x0, x1)[i] for pairs in drawn]
        if sides[0][3] is not None:
            error, worst = uneven([chosen for *_, chosen in sides if chosen is not None], len(batch))
            example = f"point {worst} of {len(batch)}"
        else:
            error, example = moments(torch.cat([x for _, x, *_ in sides]), batch), "the means and covariances"
        yield verdict(
            f"{name} marginal is the batch's",
            error,
            DEVIATIONS,
            example=example,
            cause="a plan that lost mass is used as if it were one, or the nearest point is taken" if i else "",
            read=HOME,
            note=f"in standard errors, over {count} draws",
        )


def uneven(chosen: list[Tensor], size: int) -> tuple[float, int]:
    """How far the frequency of a point is from that of any other, in standard errors, and which point."""
    counts = torch.stack([torch.bincount(rows.cpu(), minlength=size).double() for rows in chosen])
    expected = len(chosen[0]) / size
    error = (counts.mean(0) - expected).abs()
    spread = counts.std(0).clamp_min(math.sqrt(1 / len(chosen))) / math.sqrt(len(chosen))
    scores = torch.where(error > 1e-9, error / spread, 0.0)
    return scores.max().item(), int(scores.argmax())


def moments(made: Tensor, batch: Tensor) -> float:
    """The largest error of a mean or a covariance in standard errors, those of the batch counted too."""
    x, y = made.flatten(1).double(), batch.flatten(1).double()
    x, y = (rows - y.mean(0) for rows in (x, y))
    size = len(y)
    scores = [x.mean(0).abs() / (y.std(0) / math.sqrt(size))]
    products = (y.unsqueeze(2) * y.unsqueeze(1)).flatten(1)
    found = (x.unsqueeze(2) * x.unsqueeze(1)).flatten(1).mean(0)
    scores.append((found - products.mean(0)).abs() / (products.std(0) / math.sqrt(size)))
    return torch.cat(scores).max().item()


def draws(call: Call) -> Iterator[Finding]:
    """The same pairs of the same seed, and nothing drawn from the global generator."""
    before = torch.get_rng_state()
    first, again = call(7), call(7)
    error = max((first.near - again.near).abs().max().item(), (first.far - again.far).abs().max().item())
    yield verdict("the same seed gives the same pairs", error, 0.0, cause="it draws without the generator", read=HOME)
    leaked = not torch.equal(before, torch.get_rng_state())
    yield verdict("the global generator is left alone", float(leaked), 0.0, cause="hand the generator on", read=HOME)


def inputs(call: Call, x0: Tensor, x1: Tensor) -> Iterator[Finding]:
    """No batch is written into."""
    found = {f"the coupling writes into {name}": written(lambda: call(0), x) for name, x in (("x0", x0), ("x1", x1))}
    yield untouched("inputs are left alone", found)


def cost(call: Call, x0: Tensor, x1: Tensor) -> Iterator[Finding]:
    """The mean |x_0 - x_1|^2 over that of the best bijection, and the shares of the points in use: reported."""
    pairs = call(0)
    if pairs.near_rows is None or pairs.far_rows is None or len(x0) != len(x1):
        return
    table = half_squared_distances(x0, x1)
    best = table[torch.arange(len(x0)), assign(table)].mean()
    ratio = (table[pairs.near_rows, pairs.far_rows].mean() / best).item()
    used = [len(chosen.unique()) / len(x0) for chosen in (pairs.near_rows, pairs.far_rows)]
    yield reported("cost over the optimum", ratio, f"{used[0]:.0%} of x0 and {used[1]:.0%} of x1 in use", HOME)


def labels(call: Call, x1: Tensor, label: Tensor, count: int) -> Iterator[Finding]:
    """Within each label every x_1 comes as often as any other."""
    drawn = [call(seed) for seed in range(count)]
    worst = 0.0
    for one in label.unique():
        theirs = [
            p.far_rows[label[p.near_rows] == one] for p in drawn if p.near_rows is not None and p.far_rows is not None
        ]
        worst = max(worst, uneven(theirs, len(x1))[0])
    cause = "the coupling joins each class with the part of the other law that lies near it"
    yield verdict("x1 does not depend on the label", worst, DEVIATIONS, cause=cause, read=HOME)


def _sides(pairs: Pairs, x0: Tensor, x1: Tensor) -> list[tuple[str, Tensor, Tensor, Tensor | None]]:
    return [("near", pairs.near, x0, pairs.near_rows), ("far", pairs.far, x1, pairs.far_rows)]


def _points(seed: int, spread: float) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(POINTS, 2, generator=generator, dtype=torch.float64)
    return spread * x + 2 * torch.sign(torch.randn(POINTS, 1, generator=generator, dtype=torch.float64))
