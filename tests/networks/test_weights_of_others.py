"""Published weights of ADM's U-Net: the same outputs as of small references, written here from the papers under the published names."""

from __future__ import annotations

import math
import pickle

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, group_norm, linear, silu

from sde_diffusion.networks.adm import ADM
from sde_diffusion.networks.weights_of_others import of_edm, of_guided_diffusion
from sde_diffusion.sde import DDPM
from sde_diffusion.sharing.chain import levels
from sde_diffusion.sharing.foreign_weights import read_state

WIDTH, MULTIPLIERS, CLASSES, SIDE = 128, (1, 2), 3, 8


class Published(dict):
    """Weights by name, each made when a reference first asks for it: the reference alone decides names and shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)

    def of(self, name: str, *shape: int) -> Tensor:
        if name not in self:
            scale = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.3
            self[name] = scale * torch.randn(shape, generator=self.generator)
        return self[name]

    def conv(self, name: str, x: Tensor, out: int, size: int = 3) -> Tensor:
        weight = self.of(f"{name}.weight", out, x.shape[1], size, size)
        return conv2d(x, weight, self.of(f"{name}.bias", out), padding=size // 2)

    def linear(self, name: str, x: Tensor, out: int) -> Tensor:
        return linear(x, self.of(f"{name}.weight", out, x.shape[1]), self.of(f"{name}.bias", out))

    def norm(self, name: str, x: Tensor) -> Tensor:
        return group_norm(x, 32, self.of(f"{name}.weight", x.shape[1]), self.of(f"{name}.bias", x.shape[1]))


def embedding(timestep: Tensor, width: int) -> Tensor:
    """cos and sin of timestep/10000^(i/K)."""
    angles = torch.stack([timestep * 10_000 ** (-i / (width // 2)) for i in range(width // 2)], dim=1)
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


RESIZE = {"": lambda x: x, "down": lambda x: avg_pool2d(x, 2), "up": doubled}


def softmax_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(B, C/heads, N) each, of one head: sum over keys."""
    weights = torch.softmax(torch.einsum("bcn,bcm->bnm", q, k) / math.sqrt(q.shape[1]), dim=2)
    return torch.einsum("bnm,bcm->bcn", weights, v)


class Guided(Published):
    """ADM as guided-diffusion names it; with `new_order`, attention whose rows are queries, keys and values of all heads."""

    def __init__(self, new_order: bool = False) -> None:
        super().__init__()
        self.new_order = new_order

    def block(self, name: str, x: Tensor, emb: Tensor, out: int, resize: str = "") -> Tensor:
        h = self.conv(f"{name}.in_layers.2", RESIZE[resize](silu(self.norm(f"{name}.in_layers.0", x))), out)
        scale, shift = self.linear(f"{name}.emb_layers.1", silu(emb), 2 * out)[:, :, None, None].split(out, dim=1)
        h = self.norm(f"{name}.out_layers.0", h) * (1 + scale) + shift
        h, x = self.conv(f"{name}.out_layers.3", silu(h), out), RESIZE[resize](x)
        return h + (x if x.shape[1] == out else self.conv(f"{name}.skip_connection", x, out, 1))

    def attention(self, name: str, x: Tensor) -> Tensor:
        c = x.shape[1]
        h = self.norm(f"{name}.norm", x).flatten(2)
        rows = torch.einsum("oc,bcn->bon", self.of(f"{name}.qkv.weight", 3 * c, c, 1)[:, :, 0], h)
        rows = rows + self.of(f"{name}.qkv.bias", 3 * c)[:, None]
        heads = []
        for head in range(c // 64):
            starts = (
                [which * c + 64 * head for which in range(3)]
                if self.new_order
                else [192 * head + 64 * w for w in range(3)]
            )
            heads.append(softmax_attention(*(rows[:, start : start + 64] for start in starts)))
        h = torch.einsum("oc,bcn->bon", self.of(f"{name}.proj_out.weight", c, c, 1)[:, :, 0], torch.cat(heads, 1))
        return x + (h + self.of(f"{name}.proj_out.bias", c)[:, None]).reshape(x.shape)

    def __call__(
        self, x: Tensor, t: Tensor, y: Tensor | None, blocks: int, attended: tuple[int, ...], out: int
    ) -> Tensor:
        emb = self.linear("time_embed.2", silu(self.linear("time_embed.0", embedding(t, WIDTH), 4 * WIDTH)), 4 * WIDTH)
        if y is not None:
            emb = emb + self.of("label_emb.weight", CLASSES, 4 * WIDTH)[y]
        h, number = self.conv("input_blocks.0.0", x, WIDTH), 1
        kept = [h]
        for level, mult in enumerate(MULTIPLIERS):
            for _ in range(blocks):
                h = self.block(f"input_blocks.{number}.0", h, emb, mult * WIDTH)
                h = self.attention(f"input_blocks.{number}.1", h) if level in attended else h
                kept.append(h)
                number += 1
            if level < len(MULTIPLIERS) - 1:
                h = self.block(f"input_blocks.{number}.0", h, emb, mult * WIDTH, "down")
                kept.append(h)
                number += 1
        h = self.block("middle_block.0", h, emb, h.shape[1])
        h = self.block("middle_block.2", self.attention("middle_block.1", h), emb, h.shape[1])
        number = 0
        for level, mult in reversed(list(enumerate(MULTIPLIERS))):
            for i in range(blocks + 1):
                h, place = self.block(f"output_blocks.{number}.0", torch.cat([h, kept.pop()], 1), emb, mult * WIDTH), 1
                if level in attended:
                    h, place = self.attention(f"output_blocks.{number}.1", h), 2
                if level and i == blocks:
                    h = self.block(f"output_blocks.{number}.{place}", h, emb, mult * WIDTH, "up")
                number += 1
        return self.conv("out.2", silu(self.norm("out.0", h)), out)


class EDM(Published):
    """The same network as EDM names it: attention within the block, its rows by head, then channel, then q, k, v."""

    def block(self, name: str, x: Tensor, emb: Tensor, out: int, resize: str = "", attend: bool = False) -> Tensor:
        h = self.conv(f"{name}.conv0", RESIZE[resize](silu(self.norm(f"{name}.norm0", x))), out)
        scale, shift = self.linear(f"{name}.affine", emb, 2 * out)[:, :, None, None].split(out, dim=1)
        h = self.conv(f"{name}.conv1", silu(self.norm(f"{name}.norm1", h) * (1 + scale) + shift), out)
        x = RESIZE[resize](x)
        if resize:
            self[f"{name}.conv0.resample_filter"] = torch.full((1, 1, 2, 2), 0.25)
        h = h + (x if x.shape[1] == out else self.conv(f"{name}.skip", x, out, 1))
        if not attend:
            return h
        rows = self.conv(f"{name}.qkv", self.norm(f"{name}.norm2", h), 3 * out, 1).flatten(2)
        heads = [
            softmax_attention(*(rows[:, 192 * i + which : 192 * (i + 1) : 3] for which in range(3)))
            for i in range(out // 64)
        ]
        return h + self.conv(f"{name}.proj", torch.cat(heads, 1).reshape(h.shape), out, 1)

    def __call__(self, x: Tensor, c_noise: Tensor, y: Tensor | None, blocks: int, attended: tuple[int, ...]) -> Tensor:
        emb = self.linear(
            "map_layer1", silu(self.linear("map_layer0", embedding(c_noise, WIDTH), 4 * WIDTH)), 4 * WIDTH
        )
        if y is not None:
            one_hot = torch.nn.functional.one_hot(y.clamp(min=0), CLASSES).float() * (y >= 0)[:, None]
            emb = emb + one_hot @ self.of("map_label.weight", 4 * WIDTH, CLASSES).mT
        emb, kept, last = silu(emb), [], len(MULTIPLIERS) - 1
        h = self.conv(f"enc.{SIDE}x{SIDE}_conv", x, WIDTH)
        kept.append(h)
        for level, mult in enumerate(MULTIPLIERS):
            side = f"enc.{SIDE >> level}x{SIDE >> level}"
            if level:
                h = self.block(f"{side}_down", h, emb, h.shape[1], "down")
                kept.append(h)
            for i in range(blocks):
                h = self.block(f"{side}_block{i}", h, emb, mult * WIDTH, "", level in attended)
                kept.append(h)
        for level, mult in reversed(list(enumerate(MULTIPLIERS))):
            side = f"dec.{SIDE >> level}x{SIDE >> level}"
            if level == last:
                h = self.block(f"{side}_in0", h, emb, h.shape[1], "", True)
                h = self.block(f"{side}_in1", h, emb, h.shape[1])
            else:
                h = self.block(f"{side}_up", h, emb, h.shape[1], "up")
            for i in range(blocks + 1):
                h = self.block(
                    f"{side}_block{i}", torch.cat([h, kept.pop()], 1), emb, mult * WIDTH, "", level in attended
                )
        return self.conv("out_conv", silu(self.norm("out_norm", h)), x.shape[1])


def pictures(channels: int = 3) -> Tensor:
    return torch.randn(3, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def adm(blocks: int = 1, attention: tuple[int, ...] = (1,), **more) -> ADM:
    return ADM(3, WIDTH, MULTIPLIERS, blocks, attention, **more)


CHAIN = levels(DDPM())


@pytest.mark.parametrize(
    ("blocks", "attended", "classes", "new_order"),
    [(1, (1,), None, False), pytest.param(2, (0, 1), CLASSES, True, marks=pytest.mark.slow)],
)
@torch.no_grad()
def test_guided_diffusion(blocks, attended, classes, new_order):
    """Six channels at the end, of which three are the mean; the noise levels of the chain's steps 3, 500 and 999."""
    theirs, x, steps = Guided(new_order), pictures(), torch.tensor([3, 500, 999])
    labels = None if classes is None else torch.tensor([0, 2, 1])
    wanted = theirs(x, steps.float(), labels, blocks, attended, 6)[:, :3]
    network = adm(blocks, attended, classes=classes, levels=CHAIN, unlabelled=False, outputs=6).eval()
    network.load_state_dict(of_guided_diffusion(theirs, network, new_order))
    found = network(x, torch.tensor(CHAIN)[steps], labels)
    assert wanted.std() > 0.1
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


@pytest.mark.parametrize(
    ("blocks", "attended", "classes"), [(1, (1,), CLASSES), pytest.param(2, (0, 1), None, marks=pytest.mark.slow)]
)
@torch.no_grad()
def test_edm(blocks, attended, classes):
    """Within a preconditioning, with the resampling filters among the tensors; c_noise is log(sigma)/4, and -1 no label."""
    theirs, x, log_sigma = EDM(), pictures(), torch.tensor([-4.0, 0.3, 4.0])
    labels = None if classes is None else torch.tensor([2, -1, 1])
    wanted = theirs(x, log_sigma / 4, labels, blocks, attended)
    network = adm(blocks, attended, classes=classes).eval()
    network.load_state_dict(of_edm({f"model.{name}": value for name, value in theirs.items()}, network))
    torch.testing.assert_close(network(x, log_sigma, labels), wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


def test_weights_of_another_network_are_refused_in_a_sentence(is_sentence):
    theirs, other = Guided(), EDM()
    theirs(pictures(), torch.zeros(3), None, 1, (1,), 3)
    other(pictures(), torch.zeros(3), None, 1, (1,))
    for read, state, network, words in (
        (of_guided_diffusion, theirs, adm(2), "shape"),
        (of_guided_diffusion, theirs, adm(outputs=6), "shape"),
        (of_guided_diffusion, theirs, adm(classes=3), "lack label_emb"),
        (of_guided_diffusion, {**theirs, "more.weight": torch.zeros(1)}, adm(), "also have more.weight"),
        (of_guided_diffusion, theirs, ADM(3, 64, (1, 2), 1, (1,)), "multiples of 128"),
        (of_edm, other, adm(2), "blocks on the way"),
        (of_edm, theirs, adm(), "blocks on the way"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read(state, network)
        assert is_sentence(caught.value)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('it ran')",))


def test_a_file_is_read_and_a_pickle_is_refused(tmp_path, is_sentence):
    state = {"a.weight": torch.ones(2, 3)}
    torch.save(state, tmp_path / "plain.pt")
    assert torch.equal(read_state(tmp_path / "plain.pt")["a.weight"], state["a.weight"])
    (tmp_path / "edm.pkl").write_bytes(pickle.dumps({"ema": Bomb()}))
    torch.save({"a": Bomb()}, tmp_path / "bomb.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, words in (
        ("edm.pkl", "save_file"),
        ("bomb.pt", "save_file"),
        ("list.pt", "no named tensors"),
        ("none.pt", "no file"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            read_state(tmp_path / name)
        assert is_sentence(caught.value)
    torch.save({"a": torch.tensor([math.nan])}, tmp_path / "nan.pt")
    with pytest.raises(FloatingPointError):
        read_state(tmp_path / "nan.pt")
