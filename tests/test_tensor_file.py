"""Files of tensors written one at a time."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from sde_diffusion.io.tensor_file import write_tensors

KINDS = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float32,
    torch.float64,
]  # fmt: skip


def kinds(tensors):
    return {name: (tuple(value.shape), value.dtype) for name, value in tensors.items()}


def test_the_bytes_are_those_of_save_file(tmp_path):
    """Each dtype, numbers () and tensors without numbers, rows that do not lie in order, odd names; each read once."""
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)) * 100
    tensors = {f"{dtype}"[6:]: x[:2].clamp(0).to(dtype) for dtype in KINDS}
    tensors |= {"number": x[0, 0].clone(), "none": x[:0].clone(), 'd"e/\u00e9': x[0].clone(), "turned": x.mT}
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "usual")
    asked = []
    write_tensors(tmp_path / "ours", kinds(tensors), lambda name: asked.append(name) or tensors[name])
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "usual").read_bytes()
    assert sorted(asked) == sorted(tensors)


def test_another_tensor_than_was_told_is_refused(tmp_path):
    told = {"a": ((2,), torch.float32)}
    for other in (torch.zeros(3), torch.zeros(2, dtype=torch.float64)):
        with pytest.raises(ValueError, match=r"not torch\.float32"):
            write_tensors(tmp_path / "ours", told, lambda name, other=other: other)
    with pytest.raises(ValueError, match=r"a is torch\.complex64, which these files do not hold"):
        write_tensors(tmp_path / "complex", {"a": ((2,), torch.complex64)}, lambda name: torch.zeros(2))
    assert not (tmp_path / "complex").exists()
