"""Several classes as a condition: each with its own columns, names, dropout and null."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.conditions import CONTEXT, ConditionColumns
from sde_diffusion.conditions.dropped import PartlyDropped
from sde_diffusion.data.base import Batch
from sde_diffusion.data.one_hot import OneHot
from sde_diffusion.data.table_file import TableFile
from sde_diffusion.data.tables import TensorTable
from sde_diffusion.training.batches import Batches

COUNT = 240
DRAWS = np.random.default_rng(4)
SPECIES = np.array(["adelie", "chinstrap", "gentoo"])[DRAWS.integers(0, 3, COUNT)]
SEX = np.array(["f", "m"])[DRAWS.integers(0, 2, COUNT)]
MASS = DRAWS.normal(4, 1, COUNT)
SHIFT = {"adelie": -8.0, "chinstrap": 0.0, "gentoo": 8.0, "f": -2.0, "m": 2.0}
X = np.stack([[SHIFT[a] + SHIFT[b] for a, b in zip(SPECIES, SEX, strict=True)], MASS], axis=1) + DRAWS.normal(
    scale=0.3, size=(COUNT, 2)
)
GIVEN = {"species": SPECIES, "sex": SEX}


def one_hot(values, names) -> torch.Tensor:
    return torch.tensor([[float(value == name) for name in names] for value in values]).double()


def wanted(species=SPECIES, sex=SEX) -> torch.Tensor:
    return torch.cat([one_hot(species, sorted(set(SPECIES))), one_hot(sex, ["f", "m"])], dim=1)


def test_columns_of_texts_are_classes():
    columns = ConditionColumns.of(X, GIVEN | {"mass": MASS}, 0.2)
    names = ("species=adelie", "species=chinstrap", "species=gentoo", "sex=f", "sex=m")
    assert columns.names == ("mass", *names)
    assert torch.equal(
        columns.rows(COUNT, GIVEN | {"mass": MASS}), torch.cat([torch.tensor(MASS)[:, None], wanted()], 1)
    )
    assert (columns.dropout, columns.own_dropout) == (0.2, {"species": 0.2, "sex": 0.2})
    again = ConditionColumns.of_dict(json.loads(json.dumps(columns.as_dict())))
    assert torch.equal(
        again.rows(1, {"mass": 3, "species": "gentoo", "sex": "m"}), torch.tensor([[3.0, 0, 0, 1, 0, 1]]).double()
    )
    context = again.context(again.rows(1, {"mass": 3, "sex": "m"}))  # species left out: its columns are zeros
    assert context[0, 1:].tolist() == pytest.approx([0, 0, 0, 0, 2**0.5, 1])
    assert again.spelt() == "condition={'mass': ..., 'species': ..., 'sex': ...}"


def test_shares_by_name():
    columns = ConditionColumns.of(X, GIVEN, {"condition": 0.05, "sex": 0.3})
    assert (columns.dropout, columns.own_dropout) == (0.05, {"sex": 0.3})
    assert columns.dropped == PartlyDropped(0.05, ((slice(3, 5), 0.3),))
    assert ConditionColumns.of(X, {"sex": SEX}, 0.1).dropped == 0.1  # the whole condition is this class
    columns.rows(1, {"species": "gentoo"})
    for given, words in (
        ({"sex": "m"}, "lacks 'species'"),
        ({"species": "emu"}, "no class is called 'emu'; known: adelie, chinstrap, gentoo"),
    ):
        with pytest.raises(ValueError, match=words):
            columns.rows(1, given)
    for shares, words in (({"age": 0.1}, "that of no text or class"), ({"sex": 2}, "a share in")):
        with pytest.raises(ValueError, match=words):
            ConditionColumns.of(X, GIVEN, shares)
    for names in (("a",), ("a", "a")):
        with pytest.raises(ValueError, match="at least two classes"):
            OneHot(names)


def test_each_class_is_dropped_on_its_own_and_the_whole_as_well():
    """Shares and their independence over 200 batches, to four standard errors."""
    columns = ConditionColumns.of(X, GIVEN, {"condition": 0.2, "species": 0.3, "sex": 0.5})
    table = TensorTable(torch.tensor(X), {CONTEXT: columns.context(wanted())})
    batches = Batches(table, 0.1, 0, COUNT, torch.device("cpu"), torch.float64, dropout={CONTEXT: columns.dropped})
    found = [batches.at(k, torch.Generator().manual_seed(k)).condition[CONTEXT] for k in range(200)]
    rows = torch.cat(found)
    whole, species, sex = rows[:, -1] == 0, (rows[:, :3] == 0).all(1), (rows[:, 3:5] == 0).all(1)
    assert bool((species & sex)[whole].all())
    n = len(rows)
    for seen, share in (
        (whole, 0.2), (species, 1 - 0.8 * 0.7), (sex, 1 - 0.8 * 0.5), (species & sex & ~whole, 0.8 * 0.3 * 0.5),
    ):  # fmt: skip
        assert abs(float(seen.double().mean()) - share) < 4 * (share * (1 - share) / n) ** 0.5
    kept = ~species
    order = [batches._numbers(k, 0) for k in range(200)]
    assert torch.equal(rows[kept, :3], columns.context(wanted())[torch.cat(order)][kept, :3])


def test_a_float_share_draws_what_it_always_drew():
    """Runs without classes of their own keep their bits."""
    table = TensorTable(torch.tensor(X), {CONTEXT: torch.ones(COUNT, 3).double(), "label": torch.arange(COUNT)})
    make = (table, 0.3, 5, 32, torch.device("cpu"), torch.float64)
    plain = Batches(*make, dropout={CONTEXT: 0.4}).at(3, torch.Generator().manual_seed(1))
    parts = Batches(*make, dropout={CONTEXT: PartlyDropped(0.4, ())}).at(3, torch.Generator().manual_seed(1))
    assert isinstance(plain, Batch)
    assert all(torch.equal(plain.condition[name], parts.condition[name]) for name in (CONTEXT, "label"))


def write(path: Path, rows: int = COUNT, more: tuple[str, ...] = ()) -> Path:
    cells = zip(X[:rows].tolist(), SPECIES, SEX, strict=False)
    path.write_text(
        "\n".join(["a,b,species,sex", *(f"{a!r},{b!r},{kind},{sex}" for (a, b), kind, sex in cells), *more])
    )
    return path


def test_several_labels_of_a_table(tmp_path):
    source = TableFile(str(write(tmp_path / "t.csv")), label="species, sex")
    assert source == TableFile(str(tmp_path / "t.csv"), label="species, sex")
    assert TableFile(str(tmp_path / "t.csv"), label=("species", "sex")).condition_names == source.condition_names
    assert (source.column_names, source.classes) == (("a", "b"), None)
    found = torch.cat(
        [source.condition_rows(torch.arange(source.size(split)), split) for split in ("train", "held_out")]
    )
    x = torch.cat([source.tensors(split)[0] for split in ("train", "held_out")])
    rows = (x[:, None] - torch.tensor(X).float()).abs().sum(-1).argmin(1)
    assert torch.equal(found, wanted()[rows])
    assert source.summary()["sex"] == {"f": int((SEX == "f").sum()), "m": int((SEX == "m").sum())}
    held = {tuple(one) for one in source.tensors("held_out")[0].tolist()}
    other = TableFile(str(write(tmp_path / "u.csv", more=("1.5,2.5,emu,f",))), label="species,sex")
    assert {tuple(one) for one in other.tensors("held_out")[0].tolist()} - {(1.5, 2.5)} == held
    assert len(other.condition_names or ()) == 6
    for label, words in (
        ("species,x", "has no column 'x'"),
        ("species,species", "'species' is the label and no number"),
    ):
        with pytest.raises(ValueError, match=words):
            TableFile(str(tmp_path / "t.csv"), label=label).size()


def test_a_name_with_a_comma_is_one_label(tmp_path):
    (tmp_path / "t.csv").write_text('a,"kind, sex"\n1,u\n2,v\n3,u\n4,v\n')
    assert TableFile(str(tmp_path / "t.csv"), label="kind, sex", held_out=0.5).class_names == ("u", "v")


@pytest.mark.slow
def test_a_model_of_two_classes_has_the_mean_of_each_pair_and_of_one_alone():
    model = DiffusionModel.for_data(X, condition=GIVEN, condition_dropout=0.15, width=64, depth=3)
    model.fit(X, condition=GIVEN, steps=400, batch_size=128, learning_rate=4e-3)
    for species in ("adelie", "gentoo"):
        for sex in ("f", "m"):
            x = model.sample(200, nfe=16, condition={"species": species, "sex": sex})
            assert float(x[:, 0].mean()) == pytest.approx(SHIFT[species] + SHIFT[sex], abs=0.7)
        alone = model.sample(400, nfe=16, condition={"species": species})
        own = X[species == SPECIES, 0]
        assert float(alone[:, 0].mean()) == pytest.approx(own.mean(), abs=0.7)
        assert float(alone[:, 0].std()) == pytest.approx(own.std(), rel=0.3)
    names = [{"species": "gentoo", "sex": "m"}, {"species": "adelie", "sex": "m"}]
    near, far = (float(model.log_prob(X[:1] * 0 + [[10, 4]], tol=1e-2, condition=one).value) for one in names)
    assert near > far + 10
