"""What is fetched ahead is what would have been fetched, and most of it is there when it is asked for."""

from __future__ import annotations

import threading

import pytest
import torch

from sde_diffusion.data.tables import table_of
from sde_diffusion.training.batches import Batches, Prefetch


def test_every_answer_is_that_of_the_function_and_the_next_is_on_its_way():
    asked: list[tuple[int, str]] = []

    def fetch(number: int) -> int:
        asked.append((number, threading.current_thread().name))
        return number**2

    ahead = Prefetch(fetch, stride=2)
    assert [ahead(number) for number in (1, 3, 5, 20, 22)] == [1, 9, 25, 400, 484]
    ahead.pool.shutdown()
    here = [number for number, thread in asked if not thread.startswith("prefetch")]
    there = [number for number, thread in asked if thread.startswith("prefetch")]
    assert here == [1, 20], "the first and a jump are fetched where they are asked for"
    assert there == [3, 5, 7, 22, 24]


def test_an_error_reaches_who_asks_for_that_number_alone():
    def fetch(number: int) -> int:
        if number == 2:
            raise OSError("the disk is gone")
        return number

    ahead = Prefetch(fetch)
    assert ahead(1) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        ahead(2)
    assert ahead(3) == 3


@pytest.mark.parametrize(("parts", "stride"), [(1, 1), (4, 1), (4, 2)])
def test_batches_ahead_are_the_batches(parts, stride, monkeypatch):
    """Of the order in which one of `stride` processes asks, across the ends of steps; nothing is fetched twice."""
    data, labels = torch.arange(40.0)[:, None], torch.arange(40)
    plain = Batches(table_of(data, labels), 0.5, 3, 8, torch.device("cpu"), torch.float32, parts, stride)
    ahead = Batches(table_of(data, labels), 0.5, 3, 8, torch.device("cpu"), torch.float32, parts, stride)
    fetched: list[int] = []
    monkeypatch.setitem(vars(ahead), "_read", Prefetch(lambda n: fetched.append(n) or plain._rows(n), stride))
    for step in range(5):
        for part in range(stride - 1, parts, stride):
            one, other = (b.at(step, torch.Generator().manual_seed(step), part) for b in (plain, ahead))
            assert torch.equal(one.x, other.x)
            assert torch.equal(one.condition["label"], other.condition["label"])
    vars(ahead)["_read"].pool.shutdown()
    assert len(fetched) == len(set(fetched)) == 5 * parts // stride + 1


@pytest.mark.cuda
def test_tables_of_the_host_train_as_tables_of_the_gpu():
    data, gpu = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)), torch.device("cuda")
    here, there = (Batches(table_of(table), 0.0, 0, 16, gpu, torch.float32) for table in (data, data.to(gpu)))
    assert isinstance(here._read, Prefetch)
    for step in range(6):
        assert torch.equal(here.at(step, torch.Generator(gpu)).x, there.at(step, torch.Generator(gpu)).x)
