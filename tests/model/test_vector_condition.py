r"""A model of p(x | c) for columns c, against an exact law: x | c ~ N(A c + b, S), c ~ N(m, diag(s^2)), so that

    p(x) = N(A m + b, A diag(s^2) A^T + S),    d E[x | c]/d(c/s) = A diag(s)

In the units of c the two columns of A differ by a factor of fifty, as horsepower and kilograms do.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal
from torch.utils.data import Dataset

from sde_diffusion import DiffusionModel
from sde_diffusion.data.tables import TensorTable
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.callbacks import Callback
from sde_diffusion.training.triggers import Every

DOUBLE = {"dtype": torch.float64}
A = torch.tensor([[0.1, 0.002], [-0.05, 0.001]], **DOUBLE)
B = torch.tensor([1.0, 2.0], **DOUBLE)
ROOT = torch.tensor([[1.0, 0.0], [0.6, 0.5]], **DOUBLE)
S = ROOT @ ROOT.T
MEAN, SCALE = torch.tensor([100.0, 3000.0], **DOUBLE), torch.tensor([30.0, 500.0], **DOUBLE)
MARGINAL = MultivariateNormal(A @ MEAN + B, A @ torch.diag(SCALE**2) @ A.T + S)
SHORT = {"steps": 6, "batch_size": 8, "log_every": 6, "learning_rate": 1e-2, "checkpoint_every": 3, "seed": 3}


def draw(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(x, c), each (n, 2)."""
    generator = torch.Generator().manual_seed(seed)
    c = torch.randn(n, 2, generator=generator, **DOUBLE) * SCALE + MEAN
    return c @ A.T + B + torch.randn(n, 2, generator=generator, **DOUBLE) @ ROOT.T, c


X, C = draw(2000, 0)
NAMED = {"power": C[:, 0], "weight": C[:, 1]}


@pytest.fixture(scope="module")
def learnt() -> DiffusionModel:
    model = DiffusionModel.for_data(X, condition=NAMED, condition_dropout=0.2, width=48, depth=2)
    return model.fit(X, condition=NAMED, steps=500, batch_size=128, learning_rate=5e-3, log_every=500)


@pytest.fixture(scope="module")
def rough() -> DiffusionModel:
    """A model in float64 whose every weight is moved off its start: not learnt, and far from constant."""
    model = DiffusionModel.for_data(X, condition=NAMED, width=8, depth=1)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.denoiser.double().parameters():
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator, **DOUBLE))
    model.trained = None
    return model


def test_slope_and_deviation_are_those_of_the_conditional_law(learnt):
    _, c = draw(2000, 1)
    y = learnt.sample(2000, nfe=12, condition=c, chunk=1000).double()
    design = torch.cat([(c - MEAN) / SCALE, torch.ones(2000, 1)], 1)
    found = torch.linalg.lstsq(design, y).solution
    rest = y - design @ found
    torch.testing.assert_close(found[:2].T, A * SCALE, atol=0.12, rtol=0)  # 3.0 and 1.5 are the largest slopes
    torch.testing.assert_close(found[2], A @ MEAN + B, atol=0.12, rtol=0)
    torch.testing.assert_close(rest.std(0), S.diagonal().sqrt(), atol=0, rtol=0.12)
    torch.testing.assert_close(rest.T.corrcoef()[0, 1], S[0, 1] / (S[0, 0] * S[1, 1]).sqrt(), atol=0.12, rtol=0)


def test_one_row_for_all_is_one_law(learnt):
    y = learnt.sample(1500, nfe=12, condition={"power": 130, "weight": 2500}).double()
    torch.testing.assert_close(y.mean(0), A @ torch.tensor([130.0, 2500.0], **DOUBLE) + B, atol=0.2, rtol=0)
    torch.testing.assert_close(y.std(0), S.diagonal().sqrt(), atol=0, rtol=0.15)


def test_without_a_condition_it_is_the_marginal_law(learnt):
    y = learnt.sample(2000, nfe=12).double()
    torch.testing.assert_close(y.mean(0), MARGINAL.mean, atol=0.25, rtol=0)
    torch.testing.assert_close(y.std(0), MARGINAL.stddev, atol=0, rtol=0.12)
    cov = MARGINAL.covariance_matrix
    torch.testing.assert_close(y.T.corrcoef()[0, 1], cov[0, 1] / (cov[0, 0] * cov[1, 1]).sqrt(), atol=0.1, rtol=0)


def test_log_densities_are_those_of_the_conditional_and_of_the_marginal_law(learnt):
    x, c = draw(60, 2)
    conditional = MultivariateNormal(torch.zeros(2, **DOUBLE), S).log_prob(x - c @ A.T - B)
    marginal = MARGINAL.log_prob(x)
    assert (conditional - marginal).mean() > 2  # in nats: the two are far apart
    for found, exact in (
        (learnt.log_prob(x, 0.1, condition=c).value, conditional),
        (learnt.log_prob(x, 0.1).value, marginal),
    ):
        assert abs(float((found.double() - exact).mean())) < 0.2
        assert float((found.double() - exact).abs().mean()) < 0.4


@pytest.mark.parametrize(
    "options", [{"nfe": 6}, {"nfe": 6, "chunk": 3}, {"sampler": "adaptive_ode", "tol": 1e-3}], ids=str
)
def test_a_row_for_each_sample_is_each_sample_by_itself(rough, options):
    c = C[:7]
    together = rough.sample(7, condition=c, **options)
    alone = [rough.sample(1, condition=c[i], first=i, **(options | {"chunk": None})) for i in range(7)]
    assert float((together - rough.sample(7, condition=c.flip(0), **options)).abs().max()) > 1e-2
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-12, rtol=1e-12)


def test_likelihoods_and_codes_by_rows_are_those_of_one_condition(rough):
    x, c = X[:2], C[:2]
    for call in (lambda x, c: rough.log_prob(x, 0.3, condition=c).value, lambda x, c: rough.encode(x, 8, condition=c)):
        alone = torch.cat([call(x[i : i + 1], c[i]) for i in range(2)])
        torch.testing.assert_close(call(x, c), alone, atol=1e-12, rtol=1e-12)
        assert float((call(x, c) - call(x, c.flip(0))).abs().max()) > 1e-3


def test_the_user_speaks_in_the_units_of_the_table(rough):
    """The same table in watts and pounds: the same network is given the same numbers."""
    units = torch.tensor([745.7, 1 / 0.4536], **DOUBLE)
    other = DiffusionModel.for_data(X, condition=C * units, width=8, depth=1)
    other.denoiser, other.trained = rough.denoiser, None
    expected = rough.sample(5, nfe=4, condition=C[:5])
    torch.testing.assert_close(other.sample(5, nfe=4, condition=C[:5] * units), expected, atol=1e-9, rtol=1e-9)


class Pairs(Dataset):
    """The same as a data set of pairs (sample, conditions)."""

    condition_names = ("power", "weight")

    def __len__(self):
        return 40

    def __getitem__(self, number):
        return X[number].float(), {"condition": C[number].numpy()}


class Interrupt(Callback):
    """Stops a run after its third step."""

    trigger = Every(3)

    def on_report(self, context):
        if context.step == 3:
            raise KeyboardInterrupt


def weights(model: DiffusionModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.denoiser.parameters()])


def test_all_ways_to_give_the_conditions_train_one_model():
    x, c = X[:40].float(), C[:40]
    named = {"weight": c[:, 1].tolist(), "power": c[:, 0].numpy()}
    first = None
    for data, given, at_fit in (
        (x, {"power": c[:, 0], "weight": c[:, 1]}, c),
        (x.numpy(), {"power": c[:, 0], "weight": c[:, 1]}, named),
        (Pairs(), True, True),
    ):
        model = DiffusionModel.for_data(data, condition=given, width=8, depth=1)
        assert model.condition_columns is not None
        assert model.condition_columns.names == ("power", "weight")
        found = weights(model.fit(data, condition=at_fit, **SHORT))
        first = found if first is None else first
        assert torch.equal(found, first)
    other = DiffusionModel.for_data(x, condition=named | {"power": c[:, 0].flip(0)}, width=8, depth=1)
    assert not torch.equal(weights(other.fit(x, condition=c.flip(0), **SHORT)), first)


def test_a_run_goes_on_to_the_same_bits_and_refuses_other_conditions(tmp_path):
    x, c = X[:40].float(), C[:40]

    def made() -> DiffusionModel:
        return DiffusionModel.for_data(x, condition=c, width=8, depth=1)

    whole = made().fit(x, condition=c, folder=tmp_path / "whole", **SHORT)

    model = made()
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, condition=c, folder=tmp_path / "cut", callbacks=[Interrupt()], **(SHORT | {"log_every": 3}))
    with pytest.raises(ValueError, match="data"):
        made().fit(x, condition=c.flip(0), folder=tmp_path / "cut", **(SHORT | {"log_every": 3}))
    made().fit(x, condition=c, folder=tmp_path / "cut", **(SHORT | {"log_every": 3}))
    loaded = DiffusionModel.load(tmp_path / "cut", device="cpu")
    assert torch.equal(weights(loaded), weights(whole))
    assert loaded.condition_columns is not None
    assert loaded.condition_columns.as_dict() == whole.condition_columns.as_dict()
    saved = DiffusionModel.load(loaded.save(tmp_path / "saved"), device="cpu")
    one = {"c0": 110.0, "c1": 2800.0}
    assert torch.equal(saved.sample(3, nfe=4, condition=one), loaded.sample(3, nfe=4, condition=one))
    assert "| conditioned on | c0, c1 |" in (tmp_path / "saved" / "README.md").read_text()


def test_a_folder_of_an_unconditional_model_says_nothing_of_conditions(tmp_path):
    model = DiffusionModel.for_data(X, width=8, depth=1)
    described = json.loads((model.save(tmp_path / "saved") / "config.json").read_text())
    assert "condition" not in described
    with pytest.warns(UserWarning, match="untrained"):
        assert DiffusionModel.load(tmp_path / "saved").condition_columns is None


def test_each_condition_is_dropped_for_its_own_share_independently():
    n = 20_000
    table = TensorTable(torch.zeros(n, 1), {"label": torch.ones(n).long(), "context": torch.ones(n, 3)})
    for shares in ({"context": 0.3}, {"context": 0.0}, {"context": 1.0}):
        batches = Batches(table, 0.2, 0, n, torch.device("cpu"), torch.float32, dropout=shares)
        batch = batches.at(0, torch.Generator().manual_seed(0))
        label, context = batch.condition["label"] == -1, batch.condition["context"] == 0
        assert bool((context.all(1) == context.any(1)).all())  # a row as a whole
        share = shares["context"]
        both = (label & context[:, 0]).double().mean()
        for found, expected in (
            (label.double().mean(), 0.2),
            (context[:, 0].double().mean(), share),
            (both, 0.2 * share),
        ):
            assert abs(float(found) - expected) < 4 * (0.25 / n) ** 0.5
    together = Batches(table, 0.2, 0, n, torch.device("cpu"), torch.float32).at(0, torch.Generator().manual_seed(0))
    assert torch.equal(together.condition["label"] == -1, together.condition["context"][:, 0] == 0)


def test_a_model_trained_without_dropout_always_needs_a_condition():
    model = DiffusionModel.for_data(X, condition=C, condition_dropout=0.0, width=8, depth=1)
    model.fit(X, condition=C, **SHORT)
    model.sample(2, nfe=4, condition=C[:2])
    for call in (lambda: model.sample(2, nfe=4), lambda: model.log_prob(X[:2]), lambda: model.encode(X[:2])):
        with pytest.raises(ValueError, match="trained without dropping its condition and always needs one"):
            call()


def test_fit_refuses_data_without_the_conditions_that_the_model_takes():
    model = DiffusionModel.for_data(X, condition=C, width=8, depth=1)
    for given, words in ((None, "takes a condition and none came"), (C[:, :1], "got"), ({"c0": C[:, 0]}, "lacks 'c1'")):
        with pytest.raises(ValueError, match=words):
            model.fit(X, condition=given, **SHORT)
    with pytest.raises(ValueError, match="the data's conditions are power, weight, and the model's c0, c1"):
        model.fit(Pairs(), condition=True, **SHORT)
    assert np.isfinite(weights(model).numpy()).all()
