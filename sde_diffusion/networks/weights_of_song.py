"""The names that others gave to the parameters of DDPM++ and NCSN++, read into `song.Song` of the same arguments.

    network.load_state_dict(of_edm(published, network))           # NVlabs/edm, SongUNet
    network.load_state_dict(of_score_sde(published, network))     # yang-song/score_sde_pytorch, NCSNpp with BigGAN's blocks

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022, https://arxiv.org/abs/2206.00364
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.networks.song import Song
from sde_diffusion.networks.weights_of_others import State, interleaved, stages_of_edm

_BLOCK = ("norm0", "conv0", "affine", "norm1", "conv1", "skip")
_SCORE = ("GroupNorm_0", "Conv_0", "Dense_0", "GroupNorm_1", "Conv_1", "Conv_2")


def of_edm(published: Mapping[str, Tensor], network: Song) -> State:
    """The state of `network` from that of EDM's `SongUNet`, alone or within a preconditioning.

    What it does with augmentation labels is left out: samples have none. Raises ValueError for another network's weights.
    """
    inner = {name.removeprefix("model."): value for name, value in published.items()}
    known = {
        name: value for name, value in inner.items() if not name.endswith(("resample_filter", "map_augment.weight"))
    }
    if "map_noise.freqs" in known:
        known["map_noise.freqs"] = 2 * math.pi * known["map_noise.freqs"]
    for name in [name for name in known if ".qkv." in name]:
        known[name] = interleaved(known[name], 1)
    body: Any = network.network
    pairs = {"condition.label": "map_label", "condition.layer0": "map_layer0", "condition.layer1": "map_layer1"}
    pairs |= {"condition.frequencies": "map_noise.freqs"}
    encoder, decoder = stages_of_edm(known, "enc"), stages_of_edm(known, "dec")
    inputs = [name for name in encoder if name.endswith("_residual")]
    ends = {name.rsplit("_", 1)[1]: name for name in decoder if "_aux_" in name}
    pairs |= {"norm": ends.get("norm", "no aux_norm"), "leave": ends.get("conv", "no aux_conv")}
    pairs |= {f"inputs.{number}.conv": name for number, name in enumerate(inputs)}
    ours = ["enter", *(f"down.{n}" for n in range(len(body.down)))]
    later = ["middle.0", "middle.1", *(f"up.{n}" for n in range(len(body.up)))]
    theirs = [*(n for n in encoder if "_aux_" not in n), *(n for n in decoder if "_aux_" not in n)]
    if len(theirs) != len(ours) + len(later):
        raise ValueError(
            f"these weights have {len(theirs)} blocks, the network {len(ours) + len(later)}; give their multipliers and blocks"
        )
    for own, name in zip([*ours, *later], theirs, strict=True):
        inside = {f"{own}.{part}": f"{name}.{part}" for part in (*_BLOCK, "norm2")}
        inside |= {f"{own}.attention.query_key_value": f"{name}.qkv", f"{own}.attention.out": f"{name}.proj"}
        pairs |= {own: name} if own == "enter" else inside
    return _renamed(known, network, pairs)


def of_score_sde(published: Mapping[str, Tensor], network: Song) -> State:
    """The state of `network` from that of score_sde's `NCSNpp`: the part `model` of one of its checkpoints.

    Its output is that of the network before the division by sigma, sigma times the score. Raises ValueError for another
    network's weights.
    """
    named = {name.removeprefix("module."): value for name, value in published.items()}
    known = {name: value for name, value in named.items() if name != "sigmas"}
    body: Any = network.network
    numbers, pairs = count(), dict[str, str]()
    if "all_modules.0.W" in known:
        known["all_modules.0.W"] = 2 * math.pi * known["all_modules.0.W"]
        pairs["condition.frequencies"] = f"all_modules.{next(numbers)}.W"
    for own in ("condition.layer0", "condition.layer1", "enter"):
        pairs[own] = f"all_modules.{next(numbers)}"
    for own, block, resized in _stages(body):
        theirs = f"all_modules.{next(numbers)}"
        pairs |= {f"{own}.{a}": f"{theirs}.{b}" for a, b in zip(_BLOCK, _SCORE, strict=True)}
        if block.attention is not None:
            pairs |= _attention(own, f"all_modules.{next(numbers)}", known)
        if resized is not None:
            pairs[f"inputs.{resized}.conv"] = f"all_modules.{next(numbers)}.Conv2d_0"
    pairs |= {"norm": f"all_modules.{next(numbers)}", "leave": f"all_modules.{next(numbers)}"}
    return _renamed(known, network, pairs)


def _stages(body: Any) -> Iterator[tuple[str, Any, int | None]]:
    """Our blocks in their order: the name, the block, and the number of the reduced input after it, if there is one."""
    inputs = count()
    for way in ("down", "middle", "up"):
        for number, block in enumerate(getattr(body, way)):
            reduces = way == "down" and block.resize is not None and len(body.inputs) > 0
            yield f"{way}.{number}", block, next(inputs) if reduces else None


def _attention(own: str, theirs: str, known: dict[str, Tensor]) -> dict[str, str]:
    """The names of an attention, whose matrices for q, k, v and the output become ours in `known`."""
    parts = [known.pop(f"{theirs}.NIN_{i}.{kind}", torch.zeros(0)) for kind in "Wb" for i in range(4)]
    known[f"{theirs}.qkv.weight"] = torch.cat([part.mT if part.ndim == 2 else part for part in parts[:3]])
    known[f"{theirs}.qkv.bias"], known[f"{theirs}.out.bias"] = torch.cat(parts[4:7]), parts[7]
    known[f"{theirs}.out.weight"] = parts[3].mT if parts[3].ndim == 2 else parts[3]
    inside = {"norm2": "GroupNorm_0", "attention.query_key_value": "qkv", "attention.out": "out"}
    return {f"{own}.{a}": f"{theirs}.{b}" for a, b in inside.items()}


def _renamed(published: Mapping[str, Tensor], network: Song, pairs: Mapping[str, str]) -> State:
    """The state under our names, each tensor of our shape. Raises ValueError for tensors that are missing, over or of other shapes."""
    found, rest = {}, dict(published)
    for name, own in network.network.state_dict().items():
        stem, _, kind = name.rpartition(".")
        theirs = pairs[name] if name in pairs else f"{pairs.get(stem, stem)}.{kind}"
        if name == "condition.frequencies" and not network.network.condition.random:  # pyright: ignore
            found[f"network.{name}"] = own
            continue
        if theirs not in rest or rest[theirs].numel() != own.numel() or rest[theirs].shape[0] != own.shape[0]:
            there = tuple(rest[theirs].shape) if theirs in rest else "absent"
            raise ValueError(
                f"{theirs} is {there} in these weights, and {name} is {tuple(own.shape)} here; give the published network's "
                "arguments"
            )
        found[f"network.{name}"] = rest.pop(theirs).to(own.dtype).reshape(own.shape)
    if rest:
        raise ValueError(f"these weights also have {min(rest)}, which this network lacks; give the published arguments")
    return found
