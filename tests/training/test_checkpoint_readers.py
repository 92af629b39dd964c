"""Every way of reading a checkpoint verifies it first: a damaged weight never reaches a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sde_diffusion.training.checkpoints.checkpoint import (
    Checkpoint,
    CheckpointError,
    load,
    load_average,
    save,
)


@pytest.fixture
def saved(tmp_path):
    model = nn.Linear(2, 3)
    state = dict(model.state_dict())
    return save(tmp_path, Checkpoint(7, state, state, state, {"averaged": 7}))


def flip_last_bit(path):
    """In a file of safetensors, the sign of a weight: the format itself does not notice."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 0x80
    path.write_bytes(content)


def test_a_whole_checkpoint_is_read(saved):
    assert load(saved).step == load_average(saved, nn.Linear(2, 3)) == 7


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_not_read(saved, name):
    flip_last_bit(saved / name)
    model = nn.Linear(2, 3)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(CheckpointError):
        load(saved)
    with pytest.raises(CheckpointError):
        load_average(saved, model)
    assert all(map(torch.equal, before, model.parameters()))
