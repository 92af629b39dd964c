"""What is written in YAML, on the command line and in a recipe is what is read."""

from __future__ import annotations

import json
import math
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion import specs as parts
from sde_diffusion.cli import yaml_text
from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.options import filled
from sde_diffusion.cli.specs import normalise_argv

NUMBERS = {"1e-4": 1e-4, "1E5": 1e5, "-2.5e+3": -2500.0, "1.": 1.0, ".5": 0.5, "3": 3, "-0.0": -0.0, "1e400": math.inf}


@pytest.mark.parametrize("text", NUMBERS)
def test_numbers_are_those_of_yaml_1_2(text):
    value = yaml_text.load(f"x: {text}")["x"]
    assert value == NUMBERS[text]
    assert type(value) is type(NUMBERS[text])


def test_integers_are_those_of_yaml_1_2():
    assert yaml_text.load("[1:30, 1_0, 0b11, 017, 0o17, 0x1F, -3, +4]") == ["1:30", "1_0", "0b11", 17, 15, 31, -3, 4]


OLD = ["1_000", "1:30", "-1:30", "0b11", "190:20:30.15", "1_000.5", "1_0e3", "._5"]


@pytest.mark.parametrize("text", OLD)
def test_numbers_of_yaml_1_1_are_texts(text):
    assert yaml_text.load(text) == text


@pytest.mark.parametrize("option", ["training.steps", "training.learning_rate"])
@pytest.mark.parametrize("text", [*OLD, "'1:30'"])
def test_an_option_that_takes_a_number_refuses_them(refused, tmp_path, option, text):
    """The parser of the options reads a text by YAML 1.1 where a number is wanted."""
    room, name = option.split(".")
    (tmp_path / "a.yaml").write_text(f"{room}:\n  {name}: {text}\n")
    for words in (["--config", "a.yaml"], [f"--{option}={text}"]):
        tiny = ["--network", "mlp(width=8, depth=1)", "--training.batch_size", "8"]  # should it run, it ends soon
        assert f"--{option} takes a" in refused("train", *tiny, *words, "--output", "run")
    assert [path.name for path in tmp_path.iterdir()] == ["a.yaml"]


def test_they_stay_texts_where_a_text_is_wanted(refused):
    assert "no run '2026_11'" in refused("sample", "2026_11")
    for budgets in (["8", "1_6"], ["[8, 1_6]"]):
        assert "--budgets takes a" in refused("compare", "--law", "two", "--budgets", *budgets)


def test_a_merge_key_merges_nothing():
    assert yaml_text.load("{a: 1, <<: {a: 2, b: 3}}") == {"a": 1, "<<": {"a": 2, "b": 3}}


@pytest.mark.parametrize(
    "text",
    ["training: {steps: 3}\ntraining: {seed: 4}\n", "a: {b: 1, b: 2}", "- {x: 1, 'x': 2}", "{a: 1, b: {c: 1, c: 1}}"],
)
def test_a_key_that_is_given_twice_is_refused(text):
    with pytest.raises(ValueError, match="a second time; give it once"):
        yaml_text.load(text)


def test_an_infinity_is_read_and_a_date_or_a_version_stays_text():
    assert yaml_text.load("[.inf, -.inf]") == [float("inf"), float("-inf")]
    assert yaml_text.load("[2026-11-22, 1.2.3, 1e, e4, .]") == ["2026-11-22", "1.2.3", "1e", "e4", "."]


letters = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_categories=["Cc"]), max_size=6)
letters = letters.filter(
    lambda text: not re.fullmatch(r"[-+]?[0-9]+[eE][-+]?[0-9]+", text)
)  # the dumper, of YAML 1.1, quotes none
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | letters,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_json_and_plain_yaml_are_read_as_they_were_written(value):
    assert yaml_text.load(json.dumps(value, ensure_ascii=False)) == value
    assert yaml_text.load(yaml.dump(value, Dumper=_NoAliases)) == value


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


names = st.sampled_from(["vp", "sub_vp", "heun", "exponential_adams"])
words = st.text("abc", max_size=3)
values = st.integers(-9, 9) | st.floats(-5, 5) | st.booleans() | words | st.lists(st.integers(0, 9), max_size=3)
arguments = st.dictionaries(st.sampled_from(["k", "eta", "beta_max"]), values, max_size=3)
some_part = st.builds(lambda name, more: {**more, "name": name}, names, arguments)


@given(some_part, some_part)
def test_a_part_survives_being_written(outer, inner):
    whole = {**outer, "predictor": inner}
    assert parts.parse(parts.to_text(whole)) == whole


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["--sde", "ve"], {"name": "ve"}),
        (["--sde=ve"], {"name": "ve"}),
        (["--sde", "sub-vp"], {"name": "sub_vp"}),
        (["--sde", "vp(beta_max=7)"], {"name": "vp", "beta_max": 7}),
        (["--sde", "{name: vp, beta_max: 1e1}"], {"name": "vp", "beta_max": 10.0}),
        (["--sde", "ve", "--sde.sigma_max", "3"], {"name": "ve", "sigma_max": 3}),
        (["--sde.beta_max", "7"], {"name": "vp", "beta_max": 7}),
        (["--sde.name", "ve"], {"name": "ve"}),
    ],
)
def test_ways_to_name_a_part(given, wanted):
    assert config_of(given).part("sde") == wanted


def config_of(words: list[str]) -> RunConfig:
    from sde_diffusion.cli import options

    parser = options.parser()
    options.add_config_option(parser)
    options.add_options(parser, RunConfig)
    return filled(RunConfig, parser.parse_args(normalise_argv(words)))


def test_a_file_gives_way_to_what_follows_it(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("sde: ve\nnetwork: {name: mlp, width: 8}\ntraining: {learning_rate: 1e-4, steps: 7}\n")
    config = config_of(["--config", str(path), "--network.depth", "2", "--training.steps", "9"])
    assert config.part("sde") == {"name": "ve"}
    assert config.part("network") == {"name": "mlp", "width": 8, "depth": 2}
    assert (config.training.learning_rate, config.training.steps) == (1e-4, 9)
    assert config.part("data") == {"name": "digits"}


def test_a_configuration_comes_back_from_its_file(tmp_path):
    config = config_of(
        ["--sde", "ve", "--network.width", "8", "--training.max_grad_norm", ".inf", "--training.seed", "5"]
    )
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.as_dict()).replace("Infinity", "1e999"))
    again = config_of(["--config", str(path)])
    assert again == config
    assert RunConfig.of(config.as_dict(), "here") == config
