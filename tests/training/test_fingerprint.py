"""A run goes on only where going on is exact: all that decides the weights is compared, and a refusal changes no file."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import DenoisingScoreMatching, EDMWeighting, LogNormalLevel, likelihood
from sde_diffusion.parameterization import EDMPreconditioning, Velocity
from sde_diffusion.sde import VE, VP
from sde_diffusion.training import TrainSettings, fit, load, train
from sde_diffusion.training.checkpoints.checkpoint import CheckpointError, checkpoints
from sde_diffusion.training.checkpoints.fingerprint import check_fingerprint, describe, fingerprint
from sde_diffusion.training.optimizer import rate

SETTINGS = TrainSettings(steps=6, batch_size=8, log_every=2, checkpoint_every=2, warmup=0)
X = torch.randn(300, 2, generator=torch.Generator().manual_seed(1))


def denoiser(parameterization=None, **network):
    torch.manual_seed(0)
    backbone = TimeMLP(2, **{"width": 8, "depth": 1, **network})
    return Preconditioned(backbone, parameterization or EDMPreconditioning(data_std=1.0))


def arguments(**changes):
    given = {"denoiser": denoiser(), "sde": VP(), "data": X, "settings": SETTINGS, **changes}
    return [given.pop(name) for name in ("denoiser", "sde", "data", "settings")], given


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    given, more = arguments()
    fit(*given, folder=folder, **more)
    return folder


OTHERS = {
    "process": ({"sde": VE()}, "process.* is VP there and VE here"),
    "its arguments": ({"sde": VP(beta_max=28.0)}, "process.beta_max is 20.0 there and 28.0 here"),
    "parameterisation": (
        {"denoiser": denoiser(Velocity())},
        "parameterization.* is EDMPreconditioning there and Velocity here",
    ),
    "data_std": ({"denoiser": denoiser(EDMPreconditioning(data_std=0.9))}, "parameterization.data_std is 1.0 there"),
    "objective": (
        {"objective": DenoisingScoreMatching(likelihood)},
        "objective.weighting is simple there and likelihood",
    ),
    "times": ({"objective": DenoisingScoreMatching(times=LogNormalLevel())}, "objective.times"),
    "network": ({"denoiser": denoiser(depth=2)}, "denoiser.backbone"),
    "labels": ({"labels": torch.arange(300) % 2, "denoiser": denoiser(classes=2)}, "label_dropout is absent there"),
    "standardisation": ({"extra": {"mean": 3.0}}, "extra.mean is absent there and 3.0 here"),
    "optimizer": ({"settings": dataclasses.replace(SETTINGS, optimizer="adamw")}, "optimizer is adam there and adamw"),
    "schedule": ({"settings": dataclasses.replace(SETTINGS, schedule="constant")}, "schedule is cosine there"),
    "betas": ({"settings": dataclasses.replace(SETTINGS, betas=(0.9, 0.99))}, "betas is"),
    "one number of a row": ({"data": X + 1e-3 * (torch.arange(300) == 137)[:, None]}, "data is"),
    "the order of rows": ({"data": X.flip(0)}, "data is"),
    "a teacher": ({"teacher": nn.Linear(1, 1)}, "teacher"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_run_is_refused_by_the_first_difference_and_no_file_changes(finished, is_sentence, case):
    changes, words = OTHERS[case]
    before = files(finished)
    given, more = arguments(**changes)
    with pytest.raises(CheckpointError, match=f"another run: .*({words})") as caught:
        fit(*given, folder=finished, **more)
    assert is_sentence(caught.value)
    assert files(finished) == before


def test_the_same_run_is_taken_from_new_objects_arrays_and_sources(finished):
    """The digest of a table is that of its rows, wherever they come from."""

    class Pairs(torch.utils.data.Dataset):
        def __len__(self):
            return len(X)

        def __getitem__(self, number):
            return X[number], 3

    for data in (X.clone(), X.numpy(), Pairs()):
        given, more = arguments(data=data)
        assert list(train(*given, folder=finished, **more)) == []


def test_nothing_is_written_before_the_checks(finished, tmp_path):
    """`on_start` is the place for a caller's own files: it is called after the last refusal, under the lock."""
    called = []
    given, more = arguments(sde=VE())
    with pytest.raises(CheckpointError):
        fit(*given, folder=finished, on_start=lambda: called.append(1), **more)
    assert called == []
    given, more = arguments()
    fit(*given, folder=tmp_path / "new", on_start=lambda: called.append(sorted(files(tmp_path / "new"))), **more)
    assert [[path.name for path in found] for found in called] == [["lock"]]


def test_a_finished_run_goes_on_to_more_steps(tmp_path, same):
    """From its last checkpoint, at the learning rates of the new total, which is recorded; asked again, it is the same run."""
    given, more = arguments()
    fit(*given, folder=tmp_path, **more)
    longer = dataclasses.replace(SETTINGS, steps=12)
    given, more = arguments(settings=longer)
    reports = list(train(*given, folder=tmp_path, **more))
    assert [report.step for report in reports] == [8, 10, 12]
    assert [report.learning_rate for report in reports] == [rate(longer, step) for step in (7, 9, 11)]
    assert reports[0].learning_rate > rate(SETTINGS, 5)
    notes = [line for line in metrics_file.read(tmp_path / "metrics.jsonl") if "note" in line]
    assert notes == [{"step": 6, "note": "asked for 12 steps instead of 6, from step 6 on"}]
    assert load(checkpoints(tmp_path / "checkpoints")[12]).state["asked"] == [[0, 6], [6, 12]]
    given, more = arguments(settings=longer)
    assert list(train(*given, folder=tmp_path, **more)) == []
    before = files(tmp_path)
    given, more = arguments()
    with pytest.raises(CheckpointError, match="has done 12 steps and is asked for 6"):
        list(train(*given, folder=tmp_path, **more))
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "changes",
    [{"max_checkpoints": 1}, {"log_every": 5}, {"checkpoint_every": 9}, {"max_consecutive_skips": 2}],
    ids=str,
)
def test_what_decides_nothing_may_change(finished, changes):
    given, more = arguments(settings=dataclasses.replace(SETTINGS, **changes))
    assert list(train(*given, folder=finished, **more)) == []


class Plain:
    """An object of the caller's own kind."""

    def __init__(self, gamma=5.0, note="a"):
        self.gamma, self.note, self._cache, self.rows = gamma, note, 3, [1, 2]


@dataclasses.dataclass(frozen=True)
class Own:
    value: float = 1.0

    def fingerprint(self):
        return {"mine": self.value}


PAIRS = [
    (VP(), VP(), True),
    (VP(), VP(beta_max=21.0), False),
    (EDMWeighting(0.5), EDMWeighting(0.4), False),
    (Plain(), Plain(), True),
    (Plain(), Plain(gamma=4.0), False),
    (Own(1.0), Own(1.0), True),
    (Own(1.0), Own(2.0), False),
    (functools.partial(pow, exp=2), functools.partial(pow, exp=3), False),
    (math.inf, math.inf, True),
    (math.inf, 1.0, False),
    (torch.ones(2), torch.ones(2), True),
    (torch.ones(2), torch.ones(3), False),
    (np.ones(2), np.zeros(2), False),
    (denoiser(), denoiser(), True),
    (nn.Dropout(0.1), nn.Dropout(0.2), False),
    (nn.Sequential(nn.ReLU()), nn.Sequential(nn.SiLU()), False),
    ({1, 2}, {2, 1}, True),
]


@pytest.mark.parametrize(("one", "other", "alike"), PAIRS, ids=lambda value: str(value)[:20])
def test_two_things_have_one_description_where_they_compute_the_same(one, other, alike):
    assert (describe(one) == describe(other)) is alike
    read = fingerprint(thing=one)
    if alike:
        check_fingerprint(read, fingerprint(thing=other), None)
    else:
        with pytest.raises(CheckpointError):
            check_fingerprint(read, fingerprint(thing=other), None)
