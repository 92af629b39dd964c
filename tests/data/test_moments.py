"""The mean and the deviation of data that come in chunks are those of all the data, to rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from sde_diffusion.data import tables
from sde_diffusion.data.moments import Moments
from sde_diffusion.data.stored import ArrayTable
from sde_diffusion.standardization import Standardization


def exact(x) -> tuple[float, float]:
    """Mean and standard deviation in rational numbers, rounded at the end."""
    values = [Fraction(float(v)) for v in x]
    mean = sum(values) / len(values)
    square = sum((v - mean) ** 2 for v in values) / len(values)
    return float(mean), float(square) ** 0.5


@pytest.mark.parametrize("sizes", [[7], [1, 6], [3, 3, 1], [1] * 7])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_chunks_of_any_size_give_the_exact_moments(sizes, offset):
    """Numbers near 10^8 of deviation 1: a mean of squares would lose all 16 digits."""
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + offset
    found = Moments.of_chunks(x.split(sizes))
    assert found.count == 7
    for column in range(3):
        mean, std = exact(x[:, column])
        assert found.mean[column].item() == pytest.approx(mean, rel=4e-16)
        assert found.std[column].item() == pytest.approx(std, rel=1e-15 if offset == 0 else 1e-7)


def test_pictures_have_one_number_and_vectors_one_a_column():
    x = torch.randn(6, 2, 4, 3, generator=torch.Generator().manual_seed(1))
    found = Moments.of_chunks(x.split(4))
    mean, std = exact(x.flatten())
    assert (found.mean.shape, found.std.shape) == ((), ())
    assert (found.mean.item(), found.std.item()) == (pytest.approx(mean, rel=1e-14), pytest.approx(std, rel=1e-14))
    by_column = Moments.of_chunks(x.reshape(6, 24).split(4))
    assert by_column.mean.shape == (24,)
    assert by_column.overall() == (pytest.approx(mean, rel=1e-12), pytest.approx(std, rel=1e-12))


def test_one_chunk_has_the_bits_of_torch_and_a_tensor_those_of_a_table(monkeypatch):
    """An array given in Python and the same array in a source are standardised alike, bit for bit."""
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(1)) * 3 + 5
    whole = Moments.of(x)
    assert torch.equal(whole.mean, x.double().mean(0))
    assert torch.equal(whole.std, x.double().std(0, correction=0))
    monkeypatch.setattr(tables, "NUMBERS", 30)
    parts, table = Standardization.of(x), Moments.of_table(ArrayTable(x.numpy()))
    assert not torch.equal(parts.shift, whole.mean), "there were no chunks"
    assert torch.equal(parts.shift, table.mean)
    assert torch.equal(parts.scale, table.std)
    torch.testing.assert_close(parts.scale, whole.std, rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", ">i4", ">f4", "float64"])
def test_arrays_of_any_dtype_stay_as_they_are(dtype, tmp_path):
    """Memory-mapped, in the bytes of any machine; what comes out is what numpy reads."""
    array = (np.arange(24).reshape(6, 4) * 7 % 50).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    table = ArrayTable(np.load(tmp_path / "x.npy", mmap_mode="r"))
    rows = table.rows(torch.tensor([4, 0])).x
    assert rows.double().tolist() == array[[4, 0]].astype("f8").tolist()
    assert isinstance(table.x, np.memmap)
    assert Moments.of_table(table).mean.tolist() == pytest.approx(array.mean(0, dtype="f8").tolist(), rel=1e-15)


def test_a_table_that_is_not_finite_is_refused(monkeypatch):
    monkeypatch.setattr(tables, "NUMBERS", 4)
    x = torch.zeros(6, 2)
    x[5, 1] = float("nan")
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        Moments.of_table(ArrayTable(x))


def test_chunks_are_of_few_numbers():
    assert tables.rows_at_a_time((3, 256, 256)) * 3 * 256**2 <= tables.NUMBERS
    assert tables.rows_at_a_time((10**9,)) == 1
