"""A small image classifier: its last hidden layer gives the features in which samples are compared.

It replaces the Inception network for data unlike Inception's training images. It is a function of the training data and a
seed.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy


class Classifier(nn.Module):
    """Images (B, C, H, W) in [-1, 1] to logits (B, classes), by way of `width` features.

    Convolutions of stride 2 until the image is at most 4 pixels wide, then two linear layers.
    """

    def __init__(self, event_shape: tuple[int, ...], classes: int, width: int = 64) -> None:
        super().__init__()
        if len(event_shape) != 3 or min((*event_shape, classes)) < 1:
            raise ValueError(f"a classifier takes images (C, H, W) of at least one class, got {tuple(event_shape)}")
        channels, height, breadth = event_shape
        halvings = max(1, math.ceil(math.log2(max(height, breadth) / 4)))
        widths = [min(32 * 2**i, 128) for i in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1), nn.SiLU()]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.SiLU()]
        pixels = math.prod(math.ceil(side / 2**halvings) for side in (height, breadth))
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * pixels, width), nn.SiLU())
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        return self.head(self.body(x))

    @torch.no_grad()
    def features(self, x: Tensor, chunk: int = 1024) -> Tensor:
        """The last hidden layer, (N, width), a chunk at a time."""
        return torch.cat([self.body(part) for part in x.split(chunk)])

    @torch.no_grad()
    def predict(self, x: Tensor, chunk: int = 1024) -> Tensor:
        """The most likely class, int64 (N,), a chunk at a time."""
        return torch.cat([self(part).argmax(dim=1) for part in x.split(chunk)])


def train_classifier(
    x: Tensor, labels: Tensor, classes: int, steps: int = 500, batch_size: int = 128, rate: float = 3e-3, seed: int = 0
) -> Classifier:
    """A classifier of images x (N, C, H, W) with labels (N,), by Adam at a rate falling to zero; on x's device.

    The weights and the order of the data are functions of `seed`; the global generator is neither used nor moved.
    """
    if len(x) != len(labels) or len(x) == 0:
        raise ValueError(f"each image has one label, got {len(x)} images and {len(labels)} labels")
    generator = torch.Generator().manual_seed(seed)
    network = _initialised(tuple(x.shape[1:]), classes, generator).to(x)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        rows = torch.randint(len(x), (batch_size,), generator=generator).to(x.device)
        loss = cross_entropy(network(x[rows]), labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval().requires_grad_(False)


def _initialised(event_shape: tuple[int, ...], classes: int, generator: Generator) -> Classifier:
    """A classifier whose weights are He-normal numbers of the generator, its biases zero."""
    with torch.device("meta"):
        network = Classifier(event_shape, classes)
    network.to_empty(device="cpu")
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter, generator=generator)
        else:
            nn.init.zeros_(parameter)
    return network
