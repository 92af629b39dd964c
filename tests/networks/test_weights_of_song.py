"""Published weights of DDPM++ and NCSN++: the same outputs as of small references, written here under the published names."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, group_norm, pad, silu

from sde_diffusion.networks.song import Song
from sde_diffusion.networks.weights_of_song import of_edm, of_score_sde
from tests.networks.test_weights_of_others import Published, softmax_attention

WIDTH, MULTIPLIERS, CLASSES, SIDE, ATTENDED = 16, (1, 2, 2), 3, 8, (1,)
ROOT = math.sqrt(2)


def spread(x: Tensor) -> Tensor:
    """Zeros between all values, along both axes."""
    wide = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    wide[:, :, ::2, ::2] = x
    return wide


def blurred(x: Tensor, taps: tuple[float, ...], before: int, after: int) -> Tensor:
    """Zeros around, and the filter along both axes, one shifted copy after another; the taps sum to 1."""
    total, size = sum(taps), len(taps)
    wide = pad(x, (before, after, before, after))
    high, broad = wide.shape[2] - size + 1, wide.shape[3] - size + 1
    shifted = [(i, j, taps[i] * taps[j] / total**2) for i in range(size) for j in range(size)]
    return torch.stack([weight * wide[:, :, i : i + high, j : j + broad] for i, j, weight in shifted]).sum(0)


class Song_(Published):
    """What both programs compute, under names that the subclasses give."""

    def __init__(self, ncsn: bool) -> None:
        super().__init__()
        self.ncsn, self.taps = ncsn, (1.0, 3.0, 3.0, 1.0) if ncsn else (1.0, 1.0)

    def norm(self, name: str, x: Tensor) -> Tensor:
        groups = min(32, x.shape[1] // 4)
        return group_norm(x, groups, self.of(f"{name}.weight", x.shape[1]), self.of(f"{name}.bias", x.shape[1]), 1e-6)

    def resized(self, x: Tensor, resize: str) -> Tensor:
        size = len(self.taps)
        if resize == "down":
            return blurred(x, self.taps, size // 2 - 1, size // 2 - 1)[:, :, ::2, ::2]
        return 4 * blurred(spread(x), self.taps, size // 2, size // 2 - 1) if resize == "up" else x

    def features(self, timestep: Tensor, frequencies: Tensor) -> Tensor:
        angles = timestep[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], 1)

    def geometric(self) -> Tensor:
        return torch.tensor([10_000 ** (-i / (WIDTH // 2 - 1)) for i in range(WIDTH // 2)])

    def reduced(self, name: str, x: Tensor, out: int) -> Tensor:
        """The input, filtered and then convolved with stride 2."""
        weight = self.of(f"{name}.weight", out, x.shape[1], 3, 3)
        return conv2d(blurred(x, self.taps, 2, 2), weight, self.of(f"{name}.bias", out), stride=2)


class EDM(Song_):
    def block(self, name: str, x: Tensor, emb: Tensor, out: int, resize: str = "", attend: bool = False) -> Tensor:
        h = self.conv(f"{name}.conv0", self.resized(silu(self.norm(f"{name}.norm0", x)), resize), out)
        h = h + self.linear(f"{name}.affine", emb, out)[:, :, None, None]
        h = self.conv(f"{name}.conv1", silu(self.norm(f"{name}.norm1", h)), out)
        same = x.shape[1] == out and not resize
        h = (h + (x if same else self.conv(f"{name}.skip", self.resized(x, resize), out, 1))) / ROOT
        if resize:
            self[f"{name}.conv0.resample_filter"] = torch.zeros(1)
        if not attend:
            return h
        rows = self.conv(f"{name}.qkv", self.norm(f"{name}.norm2", h), 3 * out, 1).flatten(2)
        mixed = softmax_attention(rows[:, 0::3], rows[:, 1::3], rows[:, 2::3])
        return (h + self.conv(f"{name}.proj", mixed.reshape(h.shape), out, 1)) / ROOT

    def __call__(self, x: Tensor, c_noise: Tensor, y: Tensor | None, blocks: int) -> Tensor:
        frequencies = 2 * math.pi * self.of("map_noise.freqs", WIDTH) if self.ncsn else self.geometric()
        emb = self.features(c_noise, frequencies)
        if y is not None:
            one_hot = torch.nn.functional.one_hot(y.clamp(min=0), CLASSES).float() * (y >= 0)[:, None]
            emb = emb + self.linear("map_label", one_hot * math.sqrt(CLASSES), emb.shape[1])
        self["map_augment.weight"] = torch.zeros(emb.shape[1], 9)
        emb = silu(self.linear("map_layer1", silu(self.linear("map_layer0", emb, 4 * WIDTH)), 4 * WIDTH))
        h, a = self.conv(f"enc.{SIDE}x{SIDE}_conv", x, WIDTH), x
        kept = [h]
        for level, mult in enumerate(MULTIPLIERS):
            side = f"enc.{SIDE >> level}x{SIDE >> level}"
            if level:
                h = self.block(f"{side}_down", h, emb, h.shape[1], "down")
                if self.ncsn:
                    h = a = (h + self.reduced(f"{side}_aux_residual", a, h.shape[1])) / ROOT
                kept.append(h)
            for i in range(blocks):
                h = self.block(f"{side}_block{i}", h, emb, mult * WIDTH, "", level in ATTENDED)
                kept.append(h)
        for level, mult in reversed(list(enumerate(MULTIPLIERS))):
            side = f"dec.{SIDE >> level}x{SIDE >> level}"
            if level == len(MULTIPLIERS) - 1:
                h = self.block(f"{side}_in0", h, emb, h.shape[1], "", True)
                h = self.block(f"{side}_in1", h, emb, h.shape[1])
            else:
                h = self.block(f"{side}_up", h, emb, h.shape[1], "up")
            for i in range(blocks + 1):
                h = self.block(
                    f"{side}_block{i}",
                    torch.cat([h, kept.pop()], 1),
                    emb,
                    mult * WIDTH,
                    "",
                    level in ATTENDED and i == blocks,
                )
        return self.conv(f"dec.{SIDE}x{SIDE}_aux_conv", silu(self.norm(f"dec.{SIDE}x{SIDE}_aux_norm", h)), x.shape[1])


class ScoreSDE(Song_):
    """Every layer is one of a list, in the order in which it is used."""

    def next(self) -> str:
        self.number += 1
        return f"all_modules.{self.number}"

    def block(self, x: Tensor, emb: Tensor, out: int, resize: str = "") -> Tensor:
        name = self.next()
        h = self.conv(f"{name}.Conv_0", self.resized(silu(self.norm(f"{name}.GroupNorm_0", x)), resize), out)
        h = h + self.linear(f"{name}.Dense_0", silu(emb), out)[:, :, None, None]
        h = self.conv(f"{name}.Conv_1", silu(self.norm(f"{name}.GroupNorm_1", h)), out)
        same = x.shape[1] == out and not resize
        return (h + (x if same else self.conv(f"{name}.Conv_2", self.resized(x, resize), out, 1))) / ROOT

    def attention(self, x: Tensor) -> Tensor:
        name, c = self.next(), x.shape[1]

        def nin(i: int, y: Tensor) -> Tensor:
            return (
                torch.einsum("bcn,co->bon", y, self.of(f"{name}.NIN_{i}.W", c, c))
                + self.of(f"{name}.NIN_{i}.b", c)[:, None]
            )

        h = self.norm(f"{name}.GroupNorm_0", x).flatten(2)
        mixed = softmax_attention(*(nin(i, h) for i in range(3)))
        return (x + nin(3, mixed).reshape(x.shape)) / ROOT

    def __call__(self, x: Tensor, time: Tensor, blocks: int) -> Tensor:
        self.number = -1
        frequencies = 2 * math.pi * self.of(f"{self.next()}.W", WIDTH) if self.ncsn else self.geometric()
        emb = self.linear(self.next(), self.features(time, frequencies), 4 * WIDTH)
        emb = self.linear(self.next(), silu(emb), 4 * WIDTH)
        h, a = self.conv(self.next(), x, WIDTH), x
        kept = [h]
        for level, mult in enumerate(MULTIPLIERS):
            for _ in range(blocks):
                h = self.block(h, emb, mult * WIDTH)
                h = self.attention(h) if level in ATTENDED else h
                kept.append(h)
            if level < len(MULTIPLIERS) - 1:
                h = self.block(h, emb, h.shape[1], "down")
                if self.ncsn:
                    h = a = (h + self.reduced(f"{self.next()}.Conv2d_0", a, h.shape[1])) / ROOT
                kept.append(h)
        h = self.block(self.attention(self.block(h, emb, h.shape[1])), emb, h.shape[1])
        for level, mult in reversed(list(enumerate(MULTIPLIERS))):
            for _ in range(blocks + 1):
                h = self.block(torch.cat([h, kept.pop()], 1), emb, mult * WIDTH)
            h = self.attention(h) if level in ATTENDED else h
            h = self.block(h, emb, h.shape[1], "up") if level else h
        h = silu(self.norm(self.next(), h))
        return self.conv(self.next(), h, x.shape[1])


def pictures() -> Tensor:
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def song(ncsn: bool, blocks: int = 1, **more) -> Song:
    return Song(3, WIDTH, MULTIPLIERS, blocks, ATTENDED, ncsn=ncsn, **more).eval()


def close(found: Tensor, wanted: Tensor) -> None:
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


NOISE = torch.tensor([-4.0, 0.3, 4.0])


@pytest.mark.parametrize("ncsn", [False, True], ids=["ddpm++", "ncsn++"])
@pytest.mark.parametrize(("blocks", "classes"), [(1, CLASSES), (2, None)])
@torch.no_grad()
def test_edm(ncsn, blocks, classes):
    """c_noise is log(sigma)/4, label -1 is none, the augmentation's weights are left out."""
    theirs, labels = EDM(ncsn), None if classes is None else torch.tensor([2, -1, 1])
    wanted = theirs(pictures(), NOISE / 4, labels, blocks)
    network = song(ncsn, blocks, classes=classes)
    network.load_state_dict(of_edm({f"model.{name}": value for name, value in theirs.items()}, network))
    close(network(pictures(), NOISE, labels), wanted)


@pytest.mark.parametrize("ncsn", [False, True], ids=["ddpm++", "ncsn++"])
@pytest.mark.parametrize("blocks", [1, 2])
@torch.no_grad()
def test_score_sde(ncsn, blocks):
    """The timestep is the number of the level for the chain, and any number for the other."""
    theirs, levels = ScoreSDE(ncsn), [-5.0, -1.0, 0.5, 2.0]
    steps = torch.tensor([0, 2, 3])
    wanted = theirs(pictures(), steps.float(), blocks)
    network = song(ncsn, blocks, levels=levels)
    network.load_state_dict(
        of_score_sde({"sigmas": torch.zeros(3), **{f"module.{n}": v for n, v in theirs.items()}}, network)
    )
    close(network(pictures(), torch.tensor(levels)[steps]), wanted)


def test_weights_of_another_network_are_refused_in_a_sentence(is_sentence):
    edm, score = EDM(False), ScoreSDE(False)
    edm(pictures(), NOISE, None, 1)
    score(pictures(), NOISE, 1)
    for read, state, network, words in (
        (of_edm, edm, song(False, 2), "blocks"),
        (of_edm, edm, song(True), "here"),
        (of_edm, edm, song(False, classes=3), "map_label"),
        (of_edm, {**edm, "more.weight": torch.zeros(1)}, song(False), "also have more.weight"),
        (of_edm, score, song(False), "blocks"),
        (of_score_sde, score, song(True), "here"),
        (of_score_sde, score, song(False, 2), "here"),
        (of_score_sde, edm, song(False), "absent"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read(state, network)
        assert is_sentence(caught.value)
