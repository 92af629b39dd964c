"""A folder of a diffusers pipeline: unconditional, or of classes, in pixels.

    model_index.json                                   which pipeline of which parts
    unet/config.json                                   the arguments of UNet2DModel
    unet/diffusion_pytorch_model.safetensors           its weights
    scheduler/scheduler_config.json                    the chain, and what the network's output means

Their step k = 0 .. N-1 is our node k + 1 of the chain. Needs the package diffusers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.io.atomic import new_folder, sync
from sde_diffusion.io.plain import check_numbers, read_plain
from sde_diffusion.networks.foreign import DiffusersBackbone
from sde_diffusion.resolver import arguments
from sde_diffusion.sde import LinearSDE
from sde_diffusion.sharing import safe_load
from sde_diffusion.sharing.chain import MEANINGS, as_chain, levels
from sde_diffusion.sharing.hub import fetched
from sde_diffusion.sharing.schedulers import meaning_of
from sde_diffusion.standardization import Standardization

INDEX = "model_index.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
HALF = "unet/diffusion_pytorch_model.fp16.safetensors"
NETWORK, SCHEDULER = "unet/config.json", "scheduler/scheduler_config.json"


def to_diffusers(
    folder: str | Path,
    denoiser: Denoiser,
    sde: LinearSDE,
    event_shape: Sequence[int],
    standardization: Standardization | None = None,
) -> Path:
    """Write a DDIMPipeline that samples as this model does, into a folder that must not exist or be empty.

    Raises:
        TypeError: the network is not diffusers' UNet2DModel in a `DiffusersBackbone`, or its output means something
            that no scheduler knows.
        ValueError: the process is no chain and preserves no variance; the network gets other timesteps than the
            chain's; the data are not scaled to unit variance; the samples do not fit.
    """
    diffusers = _package()
    unet, meaning = _parts(denoiser, diffusers)
    _check_units(standardization)
    chain, shape = as_chain(sde), tuple(event_shape)
    _check_rule(denoiser.backbone.timestep, chain)  # pyright: ignore[reportAttributeAccessIssue]
    if len(shape) != 3 or shape[0] != unet.config.in_channels:
        raise ValueError(f"a UNet2DModel takes ({unet.config.in_channels}, H, W), got {shape}; give the data's shape")
    size = shape[1] if shape[1] == shape[2] else list(shape[1:])
    scheduler = diffusers.DDIMScheduler(
        num_train_timesteps=chain.steps, trained_betas=list(chain.betas), prediction_type=meaning, clip_sample=False
    )
    path = Path(folder)
    safe_load.check_free(path)
    with safe_load.written(path), new_folder(path) as draft:
        pipeline = diffusers.DDIMPipeline(unet, scheduler)
        pipeline.unet.register_to_config(sample_size=size)
        pipeline.save_pretrained(draft, safe_serialization=True)
        for name in (INDEX, WEIGHTS, NETWORK, SCHEDULER):
            sync(draft / name)
    return path


def read_diffusers(
    folder: str | Path,
    revision: str | None = None,
    no_label: int | None = None,
    dtype: torch.dtype | None = torch.float32,
) -> dict[str, Any]:
    """The fields of a `DiffusionModel` from a pipeline's folder, or from a name on the Hub; in eval mode on the CPU.

    `no_label` is the class that the network was taught for "any class". The weights are read as `dtype`, whatever they
    were stored as; None keeps theirs. Only safetensors and JSON are read, by `safe_load`; of diffusers, only the network's
    class is used. Samples are not clipped, whatever the scheduler says. A scheduler says which process and which meaning of
    the output belong to the network (`sharing.schedulers`); its way of sampling is not used.
    Raises ValueError, in a sentence, for a folder that is damaged, hostile or of another kind of pipeline.
    """
    path = fetched(folder, revision)
    safe_load.check_folder(path, "unet", "scheduler")
    index = read_plain(path / INDEX)
    if index.get("unet") != ["diffusers", "UNet2DModel"]:
        raise ValueError(
            f"{path / INDEX} names no UNet2DModel but {str(index.get('unet'))[:60]}; only that is taken in"
        )
    if others := sorted(name for name in index if not name.startswith("_") and name not in ("unet", "scheduler")):
        raise ValueError(
            f"{path / INDEX} also has {others[0][:40]!r}, so its samples are no pictures yet; not taken in"
        )
    scheduler = read_plain(path / SCHEDULER)
    meaning = safe_load.plainly(lambda: meaning_of(scheduler), path / SCHEDULER)
    unet, shape = _network(path, dtype)
    backbone = meaning.backbone(unet, meaning.timestep, no_label)
    denoiser = Preconditioned(backbone, meaning.parameterization).eval().requires_grad_(False)
    classes = unet.config.num_class_embeds
    names = None if classes is None else tuple(map(str, range(classes)))
    facts = {"event_shape": shape, "class_names": names, "std": meaning.std}
    return {"sde": meaning.sde, "denoiser": denoiser, **facts}


def _network(path: Path, dtype: torch.dtype | None) -> tuple[Any, tuple[int, ...]]:
    """The network with its weights, and the shape of a sample."""
    source, cls = path / NETWORK, _package().UNet2DModel
    config = {name: value for name, value in read_plain(source).items() if not name.startswith("_")}

    def make() -> Any:
        check_numbers(config)
        arguments("network", {"name": "UNet2DModel", **config}, cls)
        return cls(**config)

    unet = safe_load.built(make, _weights(path), source, dtype)
    size: Any = config.get("sample_size")
    sides = size if isinstance(size, list) else [size, size]
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(f"{source} gives no sample_size, which is the pictures' side; write it there")
    if unet.config.out_channels != unet.config.in_channels:
        raise ValueError(
            f"{source} has {unet.config.in_channels} channels in and {unet.config.out_channels} out, as networks with "
            "learned variances have; only those of the mean are taken in"
        )
    return unet, (unet.config.in_channels, *sides)


def _parts(denoiser: Denoiser, diffusers: Any) -> tuple[Any, str]:
    """The UNet2DModel and the scheduler's word for what its output means."""
    backbone = getattr(denoiser, "backbone", None)
    if not isinstance(backbone, DiffusersBackbone) or not isinstance(backbone.network, diffusers.UNet2DModel):
        raise TypeError(
            f"diffusers can only run its own networks, got {type(backbone).__name__}; train a UNet2DModel in a "
            "DiffusersBackbone, or share this one with save_pretrained"
        )
    meaning: Any = denoiser.parameterization
    word = next((word for word, cls in MEANINGS.items() if type(meaning) is cls), None)
    if word is None:
        raise TypeError(
            f"no scheduler of diffusers knows the parameterisation {type(meaning).__name__}; "
            f"known: {', '.join(cls.__name__ for cls in MEANINGS.values())}"
        )
    if meaning.data_std != 1:
        raise ValueError(
            f"diffusers gives its networks x_t itself, this one is given x_t/spread with data_std {meaning.data_std:g}; "
            "train with data_std=1"
        )
    return backbone.network, word


def _check_units(standardization: Standardization | None) -> None:
    """Raises ValueError for a model whose data are standardised: a pipeline's samples are pixels as they are."""
    if standardization is not None and (standardization.shift != 0).any() | (standardization.scale != 1).any():
        raise ValueError(
            "a diffusers pipeline has no standardisation, and this model was trained with one; train with "
            "--standardization none"
        )


def _check_rule(rule: Any, chain: Any) -> None:
    """Raises ValueError unless the network's timestep at the chain's steps is their number."""
    given = rule(torch.tensor(levels(chain), dtype=torch.float64))
    off = (given - torch.arange(chain.steps, dtype=torch.float64)).abs().max().item()
    if not off < 1e-3:
        raise ValueError(
            f"the network gets timesteps that are up to {off:.3g} off the chain's; build its DiffusersBackbone with "
            "timestep_of(sde)"
        )


def _weights(path: Path) -> Path:
    """The weights of a folder, or those of its half-precision variant where there are no others."""
    usual, half = path / WEIGHTS, path / HALF
    return half if half.is_file() and not usual.exists() else usual


def is_pipeline(folder: Path) -> bool:
    """Whether a folder says that it is one of a diffusers pipeline."""
    return (folder / INDEX).is_file()


def _package() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise ImportError(
            "this needs the package diffusers; install it with `pip install 'sde-diffusion[diffusers]'`"
        ) from error
    return diffusers
