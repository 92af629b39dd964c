"""The names that others gave to the parameters of ADM's U-Net, and the order in which they stored its attention.

    state = of_guided_diffusion(published, network)     # openai/guided-diffusion, with resblock_updown and scale_shift_norm
    state = of_edm(published, network)                  # NVlabs/edm, DhariwalUNet
    network.load_state_dict(state)

Both are read into the same network, `adm.ADM`, whose arguments are to be those of the published one. Their attention has
the rows of W_qkv in another order, which is turned into ours: (query key value, head, channel of the head).

References:
    Dhariwal & Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021, https://arxiv.org/abs/2105.05233
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022, https://arxiv.org/abs/2206.00364
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from sde_diffusion.networks.adm import ADM
from sde_diffusion.networks.blocks import HEAD, Double

State = dict[str, Tensor]
Rows = Callable[[Tensor, int], Tensor]
"""(W_qkv or its bias (3 C, ...), heads) -> the same in our order."""

_OURS = ("norm1", "conv1", "modulation", "norm2", "conv2", "skip")
_GUIDED = ("in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3", "skip_connection")
_EDM = ("norm0", "conv0", "affine", "norm1", "conv1", "skip")
_ATTENTION = ("norm", "attention.query_key_value", "attention.out")


def of_guided_diffusion(published: Mapping[str, Tensor], network: ADM, new_attention_order: bool = False) -> State:
    """The state of `network` from that of openai's `UNetModel`. Raises ValueError, in a sentence, for another network's."""
    _check_groups(network, lambda channels: 32)
    pairs = {"enter": "input_blocks.0.0", "norm": "out.0", "leave": "out.2"}
    pairs |= {"condition.layer0": "time_embed.0", "condition.layer1": "time_embed.2", "condition.label": "label_emb"}
    for number, stage in enumerate(network.body.down):
        pairs |= _guided_stage(f"down.{number}", f"input_blocks.{number + 1}", 0, _attends(stage))
    pairs |= _guided_stage("middle.0", "middle_block", 0, True) | _guided_stage("middle.1", "middle_block", 2, False)
    for number, (theirs, within) in enumerate(_guided_ascent(network)):
        pairs |= _guided_stage(f"up.{number}", f"output_blocks.{theirs}", within, _attends(network.body.up[number]))
    return _renamed(published, network, pairs, _separate if new_attention_order else _by_head)


def of_edm(published: Mapping[str, Tensor], network: ADM) -> State:
    """The state of `network` from that of EDM's `DhariwalUNet`, alone or within a preconditioning.

    Raises ValueError, in a sentence, for another network's.
    """
    _check_groups(network, lambda channels: min(32, channels // 4))
    inner = {name.removeprefix("model."): value for name, value in published.items()}
    known = {name: value for name, value in inner.items() if not name.endswith("resample_filter")}
    pairs = {"norm": "out_norm", "leave": "out_conv", "condition.label": "map_label"}
    pairs |= {"condition.layer0": "map_layer0", "condition.layer1": "map_layer1"}
    encoder, decoder = stages_of_edm(known, "enc"), stages_of_edm(known, "dec")
    body = network.body
    ours = ["enter", *(f"down.{n}" for n in range(len(body.down)))]
    later = ["middle.0", "middle.1", *(f"up.{n}" for n in range(len(body.up)))]
    if (len(ours), len(later)) != (len(encoder), len(decoder)):
        raise ValueError(
            f"these weights have {len(encoder)} and {len(decoder)} blocks on the way down and up, the network {len(ours)} and "
            f"{len(later)}; give their multipliers and blocks"
        )
    for own, theirs in zip([*ours, *later], [*encoder, *decoder], strict=True):
        pairs |= {own: theirs} if own == "enter" else _edm_stage(own, theirs)
    if "map_label.weight" in known:
        known["map_label.weight"] = known["map_label.weight"].mT
    return _renamed(known, network, pairs, interleaved)


def _guided_stage(ours: str, theirs: str, within: int, attends: bool) -> dict[str, str]:
    block = {f"{ours}.block.{a}": f"{theirs}.{within}.{b}" for a, b in zip(_OURS, _GUIDED, strict=True)}
    names = zip(_ATTENTION, ("norm", "qkv", "proj_out"), strict=True)
    return block | ({f"{ours}.attention.{a}": f"{theirs}.{within + 1}.{b}" for a, b in names} if attends else {})


def _guided_ascent(network: ADM) -> Iterator[tuple[int, int]]:
    """For each of our stages on the way up, the number of theirs, and its place within: a doubling belongs to the one before."""
    number, before = -1, False
    for stage in network.body.up:
        resizes = isinstance(stage.block.resize, Double)  # pyright: ignore[reportAttributeAccessIssue]
        number += 0 if resizes else 1
        yield number, 1 + before if resizes else 0
        before = _attends(stage)


def _edm_stage(ours: str, theirs: str) -> dict[str, str]:
    block = {f"{ours}.block.{a}": f"{theirs}.{b}" for a, b in zip(_OURS, _EDM, strict=True)}
    names = zip(_ATTENTION, ("norm2", "qkv", "proj"), strict=True)
    return block | {f"{ours}.attention.{a}": f"{theirs}.{b}" for a, b in names}


def stages_of_edm(known: Mapping[str, Tensor], way: str) -> list[str]:
    """The blocks of a way in their order: finer first on the way down, coarser first on the way up."""
    names = {match[0] for name in known if (match := re.match(rf"{way}\.(\d+)x\d+_\w+", name))}
    rank = {"conv": (0, 0), "in0": (0, 0), "in1": (0, 1), "down": (0, 0), "up": (0, 0), "residual": (0, 1)}

    def place(name: str) -> tuple[int, tuple[int, int]]:
        side, kind = int(name.split(".")[1].split("x")[0]), name.rsplit("_", 1)[1]
        return (-side if way == "enc" else side), rank.get(kind, (1, int(re.sub(r"\D", "", kind) or 0)))

    return sorted(names, key=place)


def _renamed(published: Mapping[str, Tensor], network: ADM, pairs: Mapping[str, str], rows: Rows) -> State:
    """The state under our names, each tensor of our shape. Raises ValueError for tensors that are missing, over or of other shapes."""
    found, rest = {}, dict(published)
    for name, own in network.body.state_dict().items():
        stem, _, kind = name.rpartition(".")
        theirs = f"{pairs.get(stem, stem)}.{kind}"
        if theirs not in rest:
            raise ValueError(
                f"these weights lack {theirs}, which is {name} here; give the published network's arguments"
            )
        value = rest.pop(theirs).to(own.dtype)
        if stem == "condition.label":
            value = torch.cat([value, value.new_zeros(1, value.shape[1])])
        if stem.endswith("query_key_value"):
            value = rows(value, max(1, len(value) // 3 // HEAD))
        if value.numel() != own.numel() or value.shape[0] != own.shape[0]:
            raise ValueError(
                f"{theirs} has the shape {tuple(value.shape)} and {name} {tuple(own.shape)}; give the published network's "
                "arguments"
            )
        found[f"network.body.{name}"] = value.reshape(own.shape)
    if rest:
        raise ValueError(f"these weights also have {min(rest)}, which this network lacks; give the published arguments")
    return found


def _separate(value: Tensor, heads: int) -> Tensor:
    """(query key value, head, channel), as here."""
    return value


def _by_head(value: Tensor, heads: int) -> Tensor:
    """(head, query key value, channel)."""
    return value.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)


def interleaved(value: Tensor, heads: int) -> Tensor:
    """(head, channel, query key value)."""
    return value.unflatten(0, (heads, -1, 3)).movedim(2, 0).flatten(0, 2)


def _attends(stage: nn.Module) -> bool:
    return not isinstance(stage.attention, nn.Identity)


def _check_groups(network: ADM, theirs: Callable[[int], int]) -> None:
    """Raises ValueError where a normalisation would have other groups, or attention other heads, than in the published network."""
    for part in network.modules():
        if isinstance(part, nn.GroupNorm) and part.num_groups != theirs(part.num_channels):
            raise ValueError(
                f"a normalisation of {part.num_channels} channels has {part.num_groups} groups here and "
                f"{theirs(part.num_channels)} there; only widths that are multiples of 128, or 192, are read"
            )
