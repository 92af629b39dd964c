"""A run small enough to be repeated dozens of times, with everything in it that a resumption could lose."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import EMA, Progress, TrainSettings, train

STEPS = 9


class Careless(nn.Module):
    """A backbone with dropout, which draws from the global generator, and a buffer that every call moves."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = TimeMLP(2, width=8, depth=1, classes=3)
        self.drop = nn.Dropout(0.2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x, c_time, label=None):
        if self.training:
            self.calls += 1
        return self.inner(self.drop(x), c_time, label)


def as_usual(objective):
    """The objective, a variant of the usual one that watches or spoils it, under the fingerprint of the usual one."""
    objective.fingerprint = DenoisingScoreMatching
    return objective


class Run:
    """One run of `STEPS` steps over 10 events, 4 at a time, from the same initial weights each time it is made."""

    settings = TrainSettings(
        steps=STEPS, batch_size=4, learning_rate=1e-2, warmup=3, checkpoint_every=100, max_checkpoints=100, log_every=1
    )

    def __init__(self, folder: Path | None = None, objective=None, **changes) -> None:
        self.settings = dataclasses.replace(self.settings, **changes)
        torch.manual_seed(7)
        self.denoiser = Preconditioned(Careless(), EDMPreconditioning())
        self.ema = EMA(self.denoiser, self.settings.ema_decay)
        self.folder, self.objective = folder, objective and as_usual(objective)
        generator = torch.Generator().manual_seed(5)
        self.data, self.labels = torch.randn(10, 2, generator=generator), torch.arange(10) % 3

    def reports(self) -> Iterator[Progress]:
        more = {} if self.objective is None else {"objective": self.objective}
        return train(
            self.denoiser, VP(), self.data, self.settings, labels=self.labels, folder=self.folder, ema=self.ema, **more
        )

    def go(self, reports: int | None = None) -> list[Progress]:
        """All reports, or the first few, after which the generator is closed."""
        source, seen = self.reports(), []
        for report in source:
            seen.append(dataclasses.replace(report, images_per_second=0.0))
            if len(seen) == reports:
                source.close()
        return seen

    def weights(self) -> dict[str, Tensor]:
        """Copies of all the weights and averages."""
        own = {name: value.clone() for name, value in self.denoiser.state_dict().items()}
        return own | {f"ema.{name}": value.clone() for name, value in self.ema.model.state_dict().items()}


@pytest.fixture
def run() -> type[Run]:
    return Run


def _same(a: object, b: object) -> bool:
    """Equality to the last bit of tensors, dicts and lists of them, and plain values."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(_bytes(a), _bytes(b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b


def _bytes(a: Tensor) -> Tensor:
    return a.detach().reshape(-1).contiguous().view(torch.uint8)


@pytest.fixture
def same():
    return _same


def _is_sentence(error: BaseException | str) -> bool:
    """One line, of a length that a person reads."""
    text = str(error)
    return 20 < len(text) < 500 and "\n" not in text


@pytest.fixture
def is_sentence():
    return _is_sentence


def _apart(body) -> int:
    """The id of a forked child that runs `body()` and ends with exit code 0, or 1 when it raised."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        body()
        code = 0
    finally:
        os._exit(code)


@pytest.fixture
def apart():
    return _apart
