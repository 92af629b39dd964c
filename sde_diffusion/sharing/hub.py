"""The Hugging Face Hub: a folder goes up as it is; what comes down is safetensors and plain data, nothing else.

Needs the package huggingface_hub.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PLAIN = ["*.safetensors", "*.json"]
_NAME = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}")


def push_to_hub(folder: str | Path, name: str, *, private: bool = False, message: str = "Upload a model") -> str:
    """Upload a folder of `save_pretrained` or `to_diffusers` to the Hub's "user/name", made if need be; its address.

    Who you are is the package's affair: log in with it first. Raises ValueError for what is no name or no folder.
    """
    path = Path(folder)
    if not _NAME.fullmatch(name):
        raise ValueError(f"a name on the Hub is user/name, got {name[:60]!r}")
    if not any((path / entry).is_file() for entry in ("config.json", "model_index.json")):
        raise ValueError(f"{path} holds no model; save one there with save_pretrained or to_diffusers first")
    hub = _package()
    hub.create_repo(name, private=private, exist_ok=True)
    hub.upload_folder(repo_id=name, folder_path=str(path), commit_message=message, allow_patterns=[*PLAIN, "README.md"])
    return f"https://huggingface.co/{name}"


def fetched(folder: str | Path, revision: str | None = None) -> Path:
    """The folder itself, or for a name on the Hub that is no folder here, where its download lies."""
    path = Path(folder)
    if path.exists() or not isinstance(folder, str) or not _NAME.fullmatch(folder) or ".." in folder:
        return path
    return Path(_package().snapshot_download(folder, revision=revision, allow_patterns=PLAIN))


def _package() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            "the Hub needs the package huggingface_hub; install it with `pip install 'sde-diffusion[hub]'`"
        ) from error
    return huggingface_hub
