"""Random changes of samples: functions of (seed, step, row), of the laws that they state, and said to the network."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.data.augmentation import Flips, Unchanged, uniforms
from sde_diffusion.data.geometry import SCALE, Geometric
from sde_diffusion.data.tables import table_of
from sde_diffusion.networks import DiT, TimeMLP, UNet
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.checkpoints.checkpoint import CheckpointError
from solvers.random import digest

CPU = torch.device("cpu")
PICTURES = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(1))
KEYS = digest(torch.arange(20_000))


def test_keys_give_uniform_numbers():
    u = uniforms(KEYS, 3)
    assert u.shape == (20_000, 3)
    assert (u.min() >= 0, u.max() < 1) == (True, True)
    counts = torch.histc(u, 20, 0, 1)
    assert (counts - 3000).square().sum() / 3000 < 43.8, "chi square of 19 degrees of freedom, 1 in 1000"
    assert torch.corrcoef(u.T).triu(1).abs().max() < 5 / math.sqrt(20_000)
    assert torch.equal(uniforms(KEYS[5:6], 2), u[5:6, :2])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_flips_mirror_their_share_left_to_right(share):
    x = torch.arange(6.0).reshape(1, 1, 2, 3).expand(20_000, 1, 2, 3)
    y, said = Flips(share)(x, KEYS)
    mirrored = (y == torch.tensor([[2.0, 1, 0], [5, 4, 3]])).flatten(1).all(1)
    assert (mirrored | (y == x).flatten(1).all(1)).all()
    assert mirrored.double().mean().item() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 20_000))
    assert said is None


@pytest.mark.parametrize("augment", [Flips(), Geometric(0.5)], ids=lambda one: type(one).__name__)
def test_a_change_is_a_function_of_seed_step_and_row(augment):
    """Whatever the parts of a batch and its neighbours; another step and another seed change it."""

    def changed(step, seed=3, parts=1, size=10):
        batches = Batches(table_of(PICTURES), 0.0, seed, size, CPU, torch.float32, parts, augment=augment)
        batch = [batches.at(step, torch.Generator(), part) for part in range(parts)]
        rows = torch.cat([batches._numbers(step, part) for part in range(parts)])
        return torch.cat([one.x for one in batch])[rows.argsort()], batch[0]

    one, _ = changed(4)
    assert torch.equal(one, changed(4)[0])
    assert torch.allclose(one, changed(4, parts=5)[0], atol=1e-6)
    assert not torch.allclose(one, changed(5)[0])
    assert not torch.allclose(one, changed(4, seed=4)[0])


def test_pictures_that_are_not_moved_keep_their_bits_and_are_said_to_be_unchanged():
    x = PICTURES[:1].expand(2000, 1, 8, 8)
    y, said = Geometric(0.05)(x, KEYS[:2000])
    still = ~said.any(1)
    assert 0.3 < still.double().mean() < 0.5, "half are mirrored, 0.975 0.95^4 of the others stay"
    assert torch.equal(y[still], x[still])
    mirrored = (said[:, 0] == 1) & ~said[:, 1:].any(1)
    assert torch.equal(y[mirrored], x[mirrored].flip(-1))


def ramp(height, width, slope):
    """The linear function of a pixel's place from the centre, in pixels: bilinear interpolation is exact for it."""
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    x, y = x.double(), y.double()
    return torch.stack([x, y], -1), slope[0] * x + slope[1] * y


def matrix(a, height, width):
    """G of table 6 after the mirrors, 3 x 3."""
    a0, a1, a2, a3, a4, a5, a6, a7 = a.tolist()

    def turn(angle):
        c, s = math.cos(angle), math.sin(angle)
        return torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)

    def scale(x, y):
        return torch.diag(torch.tensor([x, y, 1], dtype=torch.float64))

    move = torch.eye(3, dtype=torch.float64)
    move[:2, 2] = torch.tensor([width * a6 / 8, height * a7 / 8], dtype=torch.float64)
    stretch = turn(a4) @ scale(SCALE**a5, SCALE**-a5) @ turn(-a4)
    return move @ stretch @ turn(-a3) @ scale(SCALE**a2, SCALE**a2) @ scale(1 - 2 * a0, 1 - 2 * a1)


@pytest.mark.parametrize(("height", "width"), [(24, 24), (16, 40)])
def test_a_picture_is_moved_as_the_network_is_told(height, width):
    """A ramp f becomes f(G^-1 p), with G made anew from table 6, and the nine numbers are those of the table."""
    place, picture = ramp(height, width, (0.3, -0.7))
    x = picture.expand(60, 1, height, width)
    (y, said), a = Geometric(0.6)(x, KEYS[:60]), Geometric(0.6).numbers(KEYS[:60])
    known = 0
    for row in range(60):
        back = torch.linalg.inv(matrix(a[row], height, width))
        source = place @ back[:2, :2].T + back[:2, 2]
        inside = (source.abs() < torch.tensor([width, height]) / 2 - 1).all(-1)
        expected = 0.3 * source[..., 0] - 0.7 * source[..., 1]
        torch.testing.assert_close(y[row, 0][inside], expected[inside], rtol=0, atol=1e-12)
        known += int(inside.sum())
        a0, a1, a2, a3, a4, a5, a6, a7 = a[row].tolist()
        stretch = [a5 * math.cos(a4), a5 * math.sin(a4)]
        nine = [a0, a1, a2, math.cos(a3) - 1, math.sin(a3), *stretch, a6, a7]
        assert said[row].tolist() == pytest.approx(nine, abs=1e-15)
    assert known > 60 * height * width / 4


def test_each_change_has_its_probability_and_its_law():
    a = Geometric(0.2).numbers(KEYS)
    for column, share in enumerate([0.5, 0.1, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2]):
        done = a[:, column] != 0
        assert done.double().mean().item() == pytest.approx(share, abs=0.012), column
    for column in (2, 5, 6, 7):
        z = a[a[:, column] != 0, column]
        assert (abs(z.mean()) < 0.08, abs(z.std() - 1) < 0.06) == (True, True)
    turned = a[a[:, 3] != 0, 3]
    assert turned.std().item() == pytest.approx(math.pi / math.sqrt(3), rel=0.04)
    assert torch.equal(a[:, 4] != 0, a[:, 5] != 0)
    apart = (a[:, [0, 1, 2, 3, 5, 6]] != 0).double()
    assert torch.corrcoef(apart.T).triu(1).abs().max() < 5 / math.sqrt(20_000)


@pytest.mark.parametrize("make", [UNet.fitting, DiT.fitting], ids=["unet", "dit"])
def test_a_network_for_changes_is_another_function_only_where_one_is_said(make):
    """Zeros and nothing are the same; the numbers reach every sample of its own row."""
    torch.manual_seed(0)
    network = make((1, 8, 8), augment=9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05)
    x, t = PICTURES[:3], torch.zeros(3)
    said = torch.zeros(3, 9)
    said[1] = torch.arange(9.0)
    with torch.no_grad():
        usual, zeros, other = (network(x, t, augment_labels=one) for one in (None, torch.zeros(3, 9), said))
    assert torch.equal(usual, zeros)
    differs = ~torch.isclose(other, usual, atol=1e-5).flatten(1).all(1)
    assert differs.tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"takes augment_labels \(B, 9\), got \(3, 4\)"):
        network(x, t, augment_labels=torch.zeros(3, 4))
    with pytest.raises(ValueError, match="takes augment_labels none"):
        make((1, 8, 8))(x, t, augment_labels=said)


SHORT = {"steps": 4, "batch_size": 5, "log_every": 1, "learning_rate": 1e-2}


def small(**more):
    return DiffusionModel.for_data(PICTURES, width=8, multipliers=(1, 2), attention=(), **more)


def test_training_with_changes_resumes_bit_for_bit_and_is_another_run(tmp_path):
    options = {"augment": Geometric(0.5), "folder": tmp_path}
    whole = small(augment=9).fit(PICTURES, augment=Geometric(0.5), **SHORT)
    small(augment=9).fit(PICTURES, **options, **{**SHORT, "steps": 2, "schedule": "constant"})
    again = small(augment=9).fit(PICTURES, **options, **{**SHORT, "schedule": "constant"})
    flat = small(augment=9).fit(PICTURES, augment=Geometric(0.5), **SHORT, schedule="constant")
    names = [name for name, _ in whole.denoiser.named_parameters()]
    assert all(torch.equal(again.denoiser.state_dict()[n], flat.denoiser.state_dict()[n]) for n in names)
    assert any("augment" in name for name in names)
    with pytest.raises((ValueError, CheckpointError), match="augment"):
        small(augment=9).fit(PICTURES, augment=Geometric(0.4), folder=tmp_path, **SHORT, schedule="constant")
    assert again.sample(2, nfe=3).shape == (2, 1, 8, 8)


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (lambda: small().fit(PICTURES, augment=Geometric(), **SHORT), "Geometric gives the network 9 .* takes 0"),
        (lambda: small(augment=9).fit(PICTURES, **SHORT), "without augmentation gives the network 0 .* takes 9"),
        (lambda: Flips(1.5), r"share is that of the mirrored samples"),
        (lambda: Geometric(-0.1), r"share is the probability"),
        (lambda: Flips()(torch.zeros(4, 3), KEYS[:4]), r"shape \(C, \*space\), got \(3,\)"),
        (lambda: Geometric()(torch.zeros(4, 3, 9), KEYS[:4]), r"shape \(C, H, W\), got \(3, 9\)"),
    ],
)
def test_what_does_not_go_together_is_refused(run, words):
    with pytest.raises(ValueError, match=words):
        run()


def test_no_change_is_none():
    assert Unchanged()(PICTURES, KEYS[:10])[0] is PICTURES
    assert not hasattr(TimeMLP(2), "augment")
