"""Tables of one's own: columns by name, classes by a column, and the sentences for what is no number."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from sde_diffusion.data import by_name
from sde_diffusion.data.split import held_out

PENGUINS = "mass,length,species\n3750,39.1,adelie\n5000,46.1,gentoo\n3800,39.5,adelie\n4050,-1e1,gentoo\n"
VALUES = np.array([[3750, 39.1], [5000, 46.1], [3800, 39.5], [4050, -10]])


def table(tmp_path, text: str, name="t.csv", encoding="utf-8") -> str:
    (tmp_path / name).write_bytes(text.encode(encoding))
    return str(tmp_path / name)


def rows_of(source) -> list:
    """All samples in the order of the file, by the first column."""
    return sorted(row for split in ("train", "held_out") for row in source.tensors(split)[0].tolist())


def test_columns_keep_their_names_and_units_and_a_column_is_the_classes(tmp_path):
    source = by_name("table_file", path=table(tmp_path, PENGUINS), label="species", held_out=0.3)
    assert source.event_shape == (2,)
    assert source.column_names == ("mass", "length")
    assert source.class_names == ("adelie", "gentoo")
    assert rows_of(source) == sorted(VALUES.astype(np.float32).tolist())
    apart = held_out([row.tobytes() for row in VALUES], 0.3)
    x, labels = source.tensors("held_out")
    assert torch.equal(x, torch.from_numpy(VALUES[apart.numpy()].astype(np.float32)))
    assert labels is not None
    assert labels.tolist() == [[0, 1, 0, 1][i] for i in apart.nonzero()[:, 0].tolist()]


def test_columns_are_chosen_by_name_and_the_others_are_mentioned(tmp_path):
    source = by_name("table_file", path=table(tmp_path, PENGUINS), columns=["length"])
    assert source.event_shape == (1,)
    assert source.summary() == {"notes": ["columns left out: mass, species"]}


@pytest.mark.parametrize(
    ("text", "name", "encoding"),
    [
        ("a;b\n1;2\n3;4\n", "t.csv", "utf-8"),
        ("a\tb\n1\t2\n3\t4\n", "t.tsv", "utf-8"),
        ('"a","b"\r\n"1", 2\r\n\r\n3,4\r\n', "T.CSV", "utf-8-sig"),
    ],
)
def test_dialects(tmp_path, text, name, encoding):
    source = by_name("table_file", path=table(tmp_path, text, name, encoding))
    assert source.column_names == ("a", "b")
    assert rows_of(source) == [[1, 2], [3, 4]]


def test_integers_are_numbers_of_classes_and_years_are_their_names(tmp_path):
    source = by_name("table_file", path=table(tmp_path, "a,k\n1,0\n2,1\n3,0\n"), label="k")
    assert source.class_names == ("0", "1")
    source = by_name("table_file", path=table(tmp_path, "a,k\n1,2019\n2,2021\n3,2019\n"), label="k")
    assert source.class_names == ("2019", "2021")


WRONG = {
    "text": ("a,b\n1,2\n3,x\n", {}, "column 'b', row 3: 'x' is no number; .*label=b"),
    "underscore": ("a,b\n1,2\n3,1_000\n", {}, "column 'b', row 3: '1_000' is no number"),
    "missing": ("a,b\n1,2\n,4\n5,6\n", {}, "column 'a', row 3: '' is no value, one of 1"),
    "nan": ("a,b\n1,nan\n3,4\nNA,NaN\n", {}, "column 'a', row 4: 'NA' is no value"),
    "infinite": ("a,b\n1,2\n3,inf\n", {}, "column 'b', row 3: 'inf' is no number"),
    "too large": ("a,b\n1,2\n3,1e300\n", {}, "too large for float32"),
    "twice": ("a,b,a\n1,2,3\n4,5,6\n", {}, "has 2 columns called 'a'"),
    "no name": (",b\n1,2\n3,4\n", {}, r"column 1 has no name; .*index=False"),
    "no header": ("1,2\n3,4\n", {}, "begins with a row of numbers"),
    "ragged": ("a,b\n1,2\n3\n", {}, "row 3: 1 cells for 2 columns"),
    "no rows": ("a,b\n", {}, "names of its columns and no rows"),
    "empty": ("", {}, "is empty"),
    "label": ("a,b\n1,2\n3,4\n", {"label": "c"}, "has no column 'c', but a, b"),
    "label missing": ("a,b\n1,\n3,x\n", {"label": "b"}, "column 'b', row 2: '' is no value"),
    "label twice": ("a,b\n1,2\n3,4\n", {"label": "b", "columns": ["a", "b"]}, "'b' is the label"),
    "label alone": ("b\n2\n4\n", {"label": "b"}, "'b' is the label"),
    "quotes": ('a,b\n"1,2\n3,4\n', {}, "cannot be read as a table"),
    "one row": ("a,b\n1,2\n", {}, "1 items, 1 of them different"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_sentence_that_names_file_column_and_row(tmp_path, case):
    text, options, words = WRONG[case]
    path = table(tmp_path, text)
    with pytest.raises(ValueError, match=words) as caught:
        by_name("table_file", path=path, **options).size()
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_files_and_encodings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is not one of .csv, .tsv, .parquet"):
        by_name("table_file", path=table(tmp_path, "a\n1\n", "t.xlsx")).size()
    with pytest.raises(ValueError, match="save it as UTF-8"):
        by_name("table_file", path=table(tmp_path, "größe\n1\n2\n", encoding="latin-1")).size()


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet  # pyright: ignore[reportMissingImports]

    columns = {"mass": VALUES[:, 0], "length": VALUES[:, 1], "species": ["adelie", "gentoo"] * 2}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    source = by_name("table_file", path=str(tmp_path / "t.parquet"), label="species")
    assert (source.column_names, source.class_names) == (("mass", "length"), ("adelie", "gentoo"))
    assert rows_of(source) == sorted(VALUES.astype(np.float32).tolist())
    parquet.write_table(pyarrow.table({"a": [1.0, None, 2.0]}), tmp_path / "n.parquet")
    with pytest.raises(ValueError, match="column 'a', row 1: 'nan' is no value"):
        by_name("table_file", path=str(tmp_path / "n.parquet")).size()


def test_parquet_without_its_package_says_how_to_install_it(tmp_path, monkeypatch):
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"pip install 'sde-diffusion\[parquet\]'"):
        by_name("table_file", path=str(tmp_path / "t.parquet")).size()


CARS = "mpg,power,weight,origin\n" + "".join(
    f"{30 - i % 3},{100 + i},{2000 + 7 * i},{'ab'[i % 2]}\n" for i in range(60)
)


def test_columns_are_conditions_of_the_others_in_their_own_units(tmp_path):
    source = by_name(
        "table_file", path=table(tmp_path, CARS), label="origin", condition=["weight", "power"], held_out=0.3
    )
    assert (source.column_names, source.condition_names) == (("mpg",), ("weight", "power"))
    assert source.summary() == {"notes": []}
    for split in ("train", "held_out"):
        x, labels = source.tensors(split)
        rows = source.condition_rows(torch.arange(len(x)), split)
        assert rows is not None
        assert labels is not None
        numbers = (rows[:, 1] - 100).long()
        assert torch.equal(rows[:, 0], 2000.0 + 7 * numbers)
        assert torch.equal(x[:, 0].long(), 30 - numbers % 3)
        assert torch.equal(labels, numbers % 2)
    whole = by_name("table_file", path=table(tmp_path, CARS), label="origin", held_out=0.3)
    assert whole.condition_names is None
    assert whole.condition_rows(torch.arange(3)) is None


def test_a_row_is_held_out_by_all_its_numbers_and_not_by_the_few_values_of_one_column(tmp_path):
    source = by_name(
        "table_file", path=table(tmp_path, CARS), label="origin", condition=["power", "weight"], held_out=0.3
    )
    assert 5 <= source.size("held_out") <= 35  # by the three values of mpg alone it would be 0, 20, 40 or 60
    assert len(source.tensors("held_out")[0].unique()) == len(source.tensors("train")[0].unique()) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"condition": ["speed"]}, "has no column 'speed', but mpg, power, weight, origin"),
        ({"condition": ["power", "power"]}, "'power' is a column of the condition and named again"),
        ({"condition": "origin"}, "'origin' is a column of the condition and named again"),
        ({"condition": ["power"], "columns": "power"}, "'power' is a column of the condition and named again"),
        ({"condition": ["mpg", "power", "weight"]}, "all columns are conditions, and none is left"),
    ],
    ids=str,
)
def test_conditions_that_are_no_columns_of_their_own_are_refused(tmp_path, options, words):
    source = by_name("table_file", path=table(tmp_path, CARS), label="origin", **options)
    with pytest.raises(ValueError, match=words):
        source.size()


def test_a_condition_without_a_value_is_refused_with_its_row(tmp_path):
    text = "mpg,power\n1,2\n3,\n"
    with pytest.raises(ValueError, match="column 'power', row 3: '' is no value"):
        by_name("table_file", path=table(tmp_path, text), condition="power").size()
