"""Networks without the whole of their weights: the numbers of the usual constructor, one layer in memory at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sde_diffusion import VP
from sde_diffusion.denoisers import Preconditioned
from sde_diffusion.networks import DiT, TimeMLP, UNet
from sde_diffusion.networks.diffusers_unet import DiffusersUNet
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sharing.run import seeded
from sde_diffusion.training import ComputeSettings, TrainSettings, train
from sde_diffusion.training.distributed.first_weights import (
    FirstWeights,
    NumbersNeeded,
    deferred,
    materialise,
    named_tensors,
)

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.global_rng
"""What a constructor drew is drawn again, under its seed, and not through torch.nn.init."""


class Odd(nn.Module):
    """What constructors do beside the usual: ties, views, tables, frozen weights, a decomposition, numbers from numpy."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.tied = self.a
        self.w = nn.Parameter(torch.randn(3, 5) * 0.1, requires_grad=False)
        self.register_buffer("table", torch.tensor([1.0, 2.0, 3.0]).cumsum(0))
        self.register_buffer("levels", torch.from_numpy(np.arange(4.0)), persistent=False)
        with torch.no_grad():
            self.w[:, :2].normal_()
            self.levels[1:].mul_(2)  # pyright: ignore
        nn.init.orthogonal_(self.a.weight)
        self.heads = nn.MultiheadAttention(8, 2)
        self.rows = nn.Embedding(5, 6, padding_idx=0, dtype=torch.float64)


NETWORKS = {
    "mlp": lambda: TimeMLP(3, width=16, depth=2, classes=4, context=2),
    "unet": lambda: UNet(width=8, multipliers=(1, 2), attention=(1,), classes=3, augment=9, context=2),
    "dit": lambda: DiT.fitting((1, 8, 8)),
    "diffusers": lambda: DiffusersUNet.fitting((1, 8, 8), width=16, multipliers=(1, 2), blocks=1),
    "odd": Odd,
}


def written(network: nn.Module) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    network.first_weights.write(lambda name, value: found.__setitem__(name, value.clone()))  # pyright: ignore
    return found


@pytest.mark.parametrize("name", ["mlp", "unet", "dit", "odd", pytest.param("diffusers", marks=pytest.mark.slow)])
def test_the_numbers_are_those_of_the_usual_constructor(name, same):
    """Bit for bit, twice, under every name, while the global generator stays where it is."""
    if name == "diffusers":
        pytest.importorskip("diffusers")
    before, usual = torch.get_rng_state(), dict(named_tensors(seeded(3, NETWORKS[name])))
    network = deferred(3, NETWORKS[name])
    assert all(tensor.is_meta for _, tensor in named_tensors(network))
    for _ in range(2):
        assert same(dict(sorted(written(network).items())), {k: v.detach() for k, v in sorted(usual.items())})
    frozen = {name for name, one in network.named_parameters() if not one.requires_grad}
    assert frozen == ({"w"} if name == "odd" else set())
    assert torch.equal(torch.get_rng_state(), before)
    assert not same(written(deferred(4, NETWORKS[name])), written(network))


def test_one_layer_is_in_memory_at_a_time(monkeypatch):
    """Between two operations: of eleven matrices of about equal size never more than one, with its bias."""
    most, do = [0], FirstWeights._do

    def counted(self, call, memory):
        do(self, call, memory)
        most[0] = max(most[0], sum(one.nbytes() for one in memory.values()))

    monkeypatch.setattr(FirstWeights, "_do", counted)
    network = deferred(0, lambda: nn.Sequential(*(nn.Linear(64, 64) for _ in range(11))))
    materialise(network, torch.device("cpu"))
    assert most[0] <= 4 * (64 * 64 + 64 + 64)
    assert sum(parameter.nbytes for parameter in network.parameters()) == 11 * 4 * (64 * 64 + 64)


def test_a_part_of_a_model_is_filled_in_its_place(same):
    model = Preconditioned(deferred(3, NETWORKS["mlp"]), EDMPreconditioning())
    materialise(model, torch.device("cpu"))
    assert same(model.state_dict(), Preconditioned(seeded(3, NETWORKS["mlp"]), EDMPreconditioning()).state_dict())


class Trunc(nn.Module):
    """Draws until all numbers lie between bounds, so that the numbers decide how many are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(3))
        if float(torch.rand(())) < 2:
            nn.init.normal_(self.w)


def test_what_cannot_be_done_is_a_sentence(is_sentence):
    with pytest.raises(NumbersNeeded, match="looks at the numbers of its tensors") as refused:
        deferred(0, Trunc)
    assert is_sentence(refused.value)
    for own in (
        lambda: nn.init.normal_(torch.empty(2), generator=torch.Generator()),
        lambda: seeded(5, lambda: nn.Linear(2, 2)),
    ):
        with pytest.raises(NumbersNeeded, match="by a seed or a generator of its own") as refused:
            deferred(0, own)  # pyright: ignore
        assert is_sentence(refused.value)
    with pytest.raises(RuntimeError, match="of its own"):
        deferred(0, lambda: (_ for _ in ()).throw(RuntimeError("of its own")))
    with torch.device("meta"):
        nobody = TimeMLP(2, width=8, depth=1)
    with pytest.raises(ValueError, match="nobody knows its first numbers") as refused:
        materialise(nobody, torch.device("cpu"))
    assert is_sentence(refused.value)


@pytest.mark.parametrize("engine", ["replicated", "sharded"])
def test_one_process_alone_refuses_it(engine, is_sentence):
    model = Preconditioned(deferred(3, lambda: TimeMLP(2, width=8, depth=1)), EDMPreconditioning(1.0))
    with pytest.raises(ValueError, match="on the meta device, and only several processes") as refused:
        train(
            model, VP(), torch.randn(8, 2), TrainSettings(steps=1), compute=ComputeSettings(engine=engine), device="cpu"
        )
    assert is_sentence(refused.value)


@pytest.mark.slow
def test_each_of_two_processes_holds_half(tmp_path):
    """The bytes of all parameters and averages that are alive after two steps, next to those of whole networks."""
    script = str(ROOT / "tests" / "training" / "half_a_network.py")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        script,
        str(tmp_path),
    ]
    quiet = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    done = subprocess.run(command, env=os.environ | quiet, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    network = TimeMLP(2, width=64, depth=6)
    whole = sum(parameter.nbytes for parameter in network.parameters())
    layer = max(sum(one.nbytes for one in block.parameters()) for block in network.blocks)
    for rank in (0, 1):
        told = json.loads((tmp_path / f"rank-{rank}.json").read_text())
        assert told["weights"] <= whole / 2 + layer, "weights, and what is gathered of them"
        assert told["all"] <= 4 * whole / 2 + 2 * layer, "weights, average, two moments"
        assert told["all"] >= 4 * whole / 2 - layer
        assert told["usual"] >= 3 * whole, "the count sees a network, its copy and its average"
