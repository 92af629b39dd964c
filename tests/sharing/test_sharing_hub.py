"""The Hub without the Hub: what would go up and come down, by a client that keeps folders in memory's place."""

from __future__ import annotations

import fnmatch
import shutil
import sys
from pathlib import Path

import pytest
import torch

from sde_diffusion.sharing import push_to_hub
from tests.sharing.models import EVENT, MODELS, from_pretrained, save_pretrained


class Hub:
    """What is used of huggingface_hub, with a folder for the Hub."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked = root, []

    def create_repo(self, name: str, private: bool, exist_ok: bool) -> None:
        (self.root / "up" / name).mkdir(parents=True, exist_ok=exist_ok)

    def upload_folder(self, repo_id: str, folder_path: str, commit_message: str, allow_patterns: list[str]) -> None:
        self._copy(Path(folder_path), self.root / "up" / repo_id, allow_patterns)

    def snapshot_download(self, name: str, revision: str | None, allow_patterns: list[str]) -> str:
        self.asked.append((name, revision))
        return str(self._copy(self.root / "up" / name, self.root / "down" / name, allow_patterns))

    def _copy(self, source: Path, target: Path, patterns: list[str]) -> Path:
        target.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            if any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns):
                shutil.copy(path, target / path.name)
        return target


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    fake = Hub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


def test_up_and_down_again(hub, tmp_path):
    denoiser, sde = MODELS["mlp"]()
    folder = save_pretrained(tmp_path / "shared", denoiser, sde, EVENT)
    (folder / "secret.txt").write_text("not for others")
    assert push_to_hub(folder, "user/my-model") == "https://huggingface.co/user/my-model"
    up = hub.root / "up/user/my-model"
    assert {path.name for path in up.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    (up / "pytorch_model.bin").write_bytes(b"a pickle that another client would load")
    again = from_pretrained("user/my-model", revision="v1")
    assert hub.asked == [("user/my-model", "v1")]
    assert {path.name for path in (hub.root / "down/user/my-model").iterdir()} == {"model.safetensors", "config.json"}
    x = torch.ones(2, *EVENT)
    assert torch.equal(again.denoiser(x, sde.kernel(0.5)), denoiser(x, sde.kernel(0.5)))


def test_a_folder_of_that_name_comes_first(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_pretrained("user/mine", *MODELS["mlp"](), EVENT)
    from_pretrained("user/mine")
    assert hub.asked == []


@pytest.mark.parametrize("name", ["../x", "a/../b", "/etc/passwd", "a/b/c", "noslash", "a/..", "x" * 200 + "/y"])
def test_no_other_name_reaches_the_hub(name, hub):
    with pytest.raises(ValueError, match="is no folder"):
        from_pretrained(name)
    assert hub.asked == []


def test_what_is_no_model_does_not_go_up(hub, tmp_path):
    with pytest.raises(ValueError, match="holds no model"):
        push_to_hub(tmp_path, "user/name")
    with pytest.raises(ValueError, match="user/name"):
        push_to_hub(tmp_path, "name")


def test_without_the_package_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'sde-diffusion\[hub\]'"):
        from_pretrained("user/name")
