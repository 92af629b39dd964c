r"""Networks of other libraries as backbones.

Any module with forward(x, c_time, **condition) is a backbone already (`denoiser.Preconditioned`). Those of diffusers are
called (x, timestep, class_labels): `DiffusersBackbone` calls them so, and its argument `timestep`
says what the timestep of a noise level is. For a network trained on a discrete chain, whose step k = 0 .. N-1 has the noise level

    c_k = log(sigma_k/alpha_k) = log((1 - alpha_bar_k)/alpha_bar_k)/2,                                              (1)

the rule is `ChainTimestep`: the number k where c = c_k, and the straight line between neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn

from sde_diffusion.networks.attention import transformed, twice_differentiable
from sde_diffusion.networks.conditioning import check_range
from sde_diffusion.networks.features import BOUND, per_sample
from solvers.elementwise import along


class ChainTimestep(nn.Module):
    """Equation (1) read backwards: c_time (B,) -> timestep (B,), real numbers in [0, N - 1], held at both ends.

    The table moves between devices with the network, and stays in float64 when the network's dtype changes: it is kept as
    whole numbers of the same bits.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        """`levels` are the rising c_0 < c_1 < ...; ValueError for others, or for fewer than two."""
        super().__init__()
        rising = [float(level) for level in levels]
        if len(rising) < 2 or not all(low < high for low, high in pairwise(rising)):
            raise ValueError(f"a chain has at least two noise levels, each above the one before, got {len(rising)}")
        table = torch.tensor(rising, dtype=torch.float64)
        self.bits: Tensor
        self.register_buffer("bits", table.view(torch.int64), persistent=False)

    def levels(self) -> list[float]:
        """The noise levels of the steps."""
        return self.bits.view(torch.float64).tolist()

    def forward(self, c_time: Tensor) -> Tensor:
        """The timesteps in c_time's dtype; computed in float64."""
        table, c = self.bits.view(torch.float64), c_time.double().contiguous()
        above = torch.searchsorted(table, c.detach()).clamp(1, len(table) - 1)
        low, high = table[above - 1], table[above]
        return (above - 1 + (c - low) / (high - low)).clamp(0, len(table) - 1).to(c_time.dtype)


class LogTimestep(nn.Module):
    """EDM's c_noise = log(sigma/alpha)/4 as a timestep, for DiffusersBackbone; held at +-10, beyond all noise levels in use."""

    def forward(self, c_time: Tensor) -> Tensor:
        """A quarter."""
        return c_time.clamp(-BOUND, BOUND) / 4


class ShareTimestep(nn.Module):
    """`steps` times sigma/(alpha + sigma), the time of rectified flow, as a timestep; `steps` of diffusers are 1000."""

    def __init__(self, steps: int = 1000) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, c_time: Tensor) -> Tensor:
        """Real numbers in (0, steps)."""
        return self.steps * c_time.sigmoid()


class DiffusersBackbone(nn.Module):
    """A network called as network(x, timestep[, class_labels]), such as diffusers' UNet2DModel, as a backbone.

    `timestep` takes noise levels c_time (B,) to what the network calls time, (B,). `no_label` is the class that stands
    for label -1 and for no label at all, for a network that was taught one.
    """

    def __init__(self, network: nn.Module, timestep: Callable[[Tensor], Tensor], no_label: int | None = None) -> None:
        super().__init__()
        self.network, self.timestep, self.no_label = network, timestep, no_label

    def forward(self, x: Tensor, c_time: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """The network's answer (B, *E), from a tensor or from an output with a field `sample`.

        Raises ValueError for labels that the network cannot take, or that it lacks, and for other channels than its own.
        """
        channels = getattr(getattr(self.network, "config", None), "in_channels", x.shape[1])
        if x.shape[1] != channels:
            raise ValueError(f"this network takes samples of {channels} channels, got x of shape {tuple(x.shape)}")
        times = self.timestep(per_sample(c_time, x))
        classes = getattr(getattr(self.network, "config", None), "num_class_embeds", None)
        labels = {} if classes is None and label is None else {"class_labels": self._labels(label, x, classes)}
        with twice_differentiable() if transformed() else nullcontext():
            answer = self.network(x, times, **labels)
        return answer if isinstance(answer, Tensor) else answer.sample

    def _labels(self, label: Tensor | int | None, x: Tensor, classes: int | None) -> Tensor:
        if classes is None:
            raise ValueError("this network was built without classes but got labels; drop them")
        given = torch.as_tensor(-1 if label is None else label, device=x.device)
        if given.is_floating_point() or given.shape not in ((), (x.shape[0],)):
            raise ValueError(
                f"labels are integers of shape () or ({x.shape[0]},), got {given.dtype} of shape {tuple(given.shape)}"
            )
        if self.no_label is None and not torch.compiler.is_compiling() and bool((given < 0).any()):
            raise ValueError(f"this network knows no missing label; give one of 0 .. {classes - 1}")
        check_range(given, classes - (self.no_label == classes - 1))
        return torch.where(given < 0, self.no_label or 0, given).expand(x.shape[0])


class FlowBackbone(DiffusersBackbone):
    """The same for a network whose input is x_t/(alpha + sigma), the state of rectified flow itself.

    What a backbone is given is x_t/sqrt(alpha^2 + sigma^2), for data of unit variance in its parameterisation.
    """

    def forward(self, x: Tensor, c_time: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """See `DiffusersBackbone.forward`."""
        share = per_sample(c_time, x).sigmoid()
        return super().forward(x * along(torch.hypot(share, 1 - share), x), c_time, label)
