"""Implementations are found by walking packages and plug-ins, on a package written here for the purpose."""

from __future__ import annotations

import importlib
import sys
from importlib import metadata

import pytest

from sde_diffusion import plugins as discovery
from sde_diffusion.data import DataSource, Law, by_name, names
from sde_diffusion.plugins import (
    find,
    implementations,
    name_of,
    snake,
)

FILES = {
    "shapes_of_test/__init__.py": "",
    "shapes_of_test/base.py": (
        "from abc import ABC, abstractmethod\n"
        "class Shape(ABC):\n    @abstractmethod\n    def area(self): ...\n"
    ),
    "shapes_of_test/round.py": (
        "from shapes_of_test.base import Shape\n"
        "class Circle(Shape):\n    def area(self): return 3\n"
        "class _Secret(Circle): pass\n"
        "class FineDisk(Circle): pass\n"
        "class Unfinished(Shape): pass\n"
        "class Alien: pass\n"
    ),
    "shapes_of_test/deep/__init__.py": "from shapes_of_test.round import Circle\n",
    "shapes_of_test/deep/flat.py": (
        "from shapes_of_test.round import Circle\n"
        "class Square2D(Circle): name = 'box'\n"
        "class Tilted(Square2D): pass\n"
    ),
    "shapes_of_test/guest.py": "from plug_of_test import Hexagon\n",
    "plug_of_test.py": "from shapes_of_test.round import Circle\nclass Hexagon(Circle): pass\n",
    "twin_of_test.py": "from shapes_of_test.round import Circle\nclass Twin(Circle): name = 'circle'\n",
}  # fmt: skip


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package and two plug-ins on the disk; they are forgotten afterwards."""
    for path, text in FILES.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("shapes_of_test")
    for module in [name for name in sys.modules if "_of_test" in name]:
        del sys.modules[module]


def shape() -> type:
    return importlib.import_module("shapes_of_test.base").Shape


def offer(monkeypatch, *values: str) -> None:
    entries = [metadata.EntryPoint("plug", value, discovery.GROUP) for value in values]
    monkeypatch.setattr(discovery.metadata, "entry_points", lambda group: entries if group == discovery.GROUP else [])


NAMES = {
    "HeunRK": "heun_rk",
    "VP": "vp",
    "SubVP": "sub_vp",
    "FashionMNIST": "fashion_mnist",
    "CIFAR10": "cifar10",
    "MLPMixer": "mlp_mixer",
    "EulerMaruyama": "euler_maruyama",
    "sub-vp": "sub_vp",
}


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_class_names_become_snake_case(name, expected):
    assert snake(name) == expected


def test_concrete_public_classes_are_found_at_any_depth_once(package):
    found = implementations(package, shape())
    classes = {"box": "Square2D", "circle": "Circle", "fine_disk": "FineDisk", "tilted": "Tilted"}
    assert {name: cls.__name__ for name, cls in found.items()} == classes
    assert list(found) == sorted(found)
    assert implementations("shapes_of_test", shape()) == found
    assert all(name_of(cls) == name for name, cls in found.items())


def test_a_plug_in_offers_a_class_or_a_module(package, monkeypatch):
    offer(monkeypatch, "plug_of_test:Hexagon", "email.message:Message")
    assert implementations(package, shape())["hexagon"].__module__ == "plug_of_test"
    offer(monkeypatch, "plug_of_test")
    assert implementations(package, shape())["hexagon"].__module__ == "plug_of_test"
    offer(monkeypatch)
    assert "hexagon" not in implementations(package, shape())


def test_a_broken_plug_in_is_named(package, monkeypatch):
    offer(monkeypatch, "no_such_module_here:Thing")
    with pytest.raises(ImportError, match="the plug-in plug = no_such_module_here:Thing cannot be loaded"):
        implementations(package, shape())


def test_two_classes_of_one_name_are_refused(package, monkeypatch):
    offer(monkeypatch, "twin_of_test")
    with pytest.raises(ValueError, match=r"round.Circle and twin_of_test.Twin are both called 'circle'"):
        implementations(package, shape())


def test_find_takes_snake_and_kebab_and_suggests_the_nearest(package):
    expected = implementations(package, shape())["fine_disk"]
    for name in ("fine_disk", "fine-disk", "FineDisk"):
        assert find(package, shape(), name) is expected
    with pytest.raises(ValueError, match=r"no Shape is called 'cirle'; did you mean 'circle'\?"):
        find(package, shape(), "cirle")
    with pytest.raises(ValueError, match=r"no Shape is called 'zzz'; known: box, circle"):
        find(package, shape(), "zzz")


def test_data_sources_are_found_by_name():
    laws = {"ring", "two_gaussians", "moons", "swiss_roll", "checkerboard"}
    images = {"digits", "patches", "mnist", "fashion_mnist", "emnist", "cifar10", "celeba", "image_folder"}
    assert set(names()) >= laws | images
    assert by_name("swiss-roll", noise=0.0) == by_name("swiss_roll", noise=0.0)
    assert set(implementations("sde_diffusion.data", Law)) < set(implementations("sde_diffusion.data", DataSource))
    with pytest.raises(ValueError, match="did you mean 'moons'"):
        by_name("moon")
