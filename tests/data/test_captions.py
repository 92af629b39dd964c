"""Texts as vectors: their n-grams counted by hand, and the law of their inner products over keys."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.data.captions import HashedNGrams, n_grams

TEXTS = ["A red square", "a RED circle", "two dogs", "", "naïve straße"]


def test_the_parts_of_a_word_by_hand():
    assert n_grams("It, it!") == {"<it>": 2, "<it": 2, "it>": 2}
    assert n_grams("dog") == dict.fromkeys(["<dog>", "<do", "dog", "og>", "<dog", "dog>"], 1)
    assert n_grams("STRASSE") == n_grams("straße")
    assert not n_grams(" -- ")


def test_inner_products_are_those_of_the_counts_over_keys():
    """Equation (1), to four standard errors over 400 keys, in 16 numbers."""
    rows = torch.stack([torch.stack([HashedNGrams(16, seed).counts(text) for text in TEXTS]) for seed in range(400)])
    products = rows @ rows.mT
    found, error = products.mean(0), products.std(0) / 400**0.5
    grams = [n_grams(text) for text in TEXTS]
    wanted = torch.tensor([[float(sum(a[g] * b[g] for g in a)) for b in grams] for a in grams]).double()
    assert ((found - wanted).abs() <= 4 * error + 1e-9).all()
    assert wanted[0, 1] > 0
    assert wanted[0, 2] == 0


def test_vectors_have_length_one_and_are_functions_of_the_text():
    encoder = HashedNGrams(32)
    found = encoder(TEXTS)
    assert found.norm(dim=1).tolist() == pytest.approx([1, 1, 1, 0, 1])
    assert torch.equal(encoder(TEXTS[::-1]).flip(0), found)
    assert torch.equal(HashedNGrams.of_dict(encoder.as_dict())(TEXTS), found)
    assert not torch.equal(HashedNGrams(32, 1)(TEXTS), found)
    assert found[0] @ found[1] > found[0] @ found[2]


@pytest.mark.parametrize(
    "stored", [{"size": 1, "seed": 0}, {"size": 8}, {"size": 8.0, "seed": 0}, [8, 0], {"size": 10**9, "seed": 0}]
)
def test_other_descriptions_are_refused(stored):
    with pytest.raises(ValueError, match="hashed n-grams have"):
        HashedNGrams.of_dict(stored)
