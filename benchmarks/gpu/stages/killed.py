"""A short training that kills itself between two checkpoints, for the stage that resumes it.

python -m benchmarks.gpu.stages.killed FOLDER cuda
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import UNet
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import EMA, ComputeSettings, TrainSettings, train

STEPS, KILLED = 8, 5
SHAPE = (1, 8, 8)


def trained(folder: Path | None, device: torch.device, stop: int = 0, deterministic: bool = True) -> Tensor:
    """The weights and their average after `STEPS` steps, going on in `folder`; kills the process after step `stop`."""
    torch.manual_seed(0)
    denoiser = Preconditioned(
        UNet.fitting(SHAPE, width=16, multipliers=(1, 2), attention=(1,), dropout=0.1), EDMPreconditioning()
    )
    x = torch.randn(64, *SHAPE, generator=torch.Generator().manual_seed(2))
    settings = TrainSettings(steps=STEPS, batch_size=16, log_every=1, checkpoint_every=2, learning_rate=1e-3)
    ema, compute = EMA(denoiser, settings.ema_decay), ComputeSettings(threads=torch.get_num_threads())
    with kernels(deterministic):
        for progress in train(denoiser, VP(), x, settings, folder=folder, device=device, ema=ema, compute=compute):
            if progress.step == stop:
                os.kill(os.getpid(), signal.SIGKILL)
    both = [*denoiser.parameters(), *ema.model.parameters()]
    return torch.cat([parameter.detach().flatten().cpu() for parameter in both])


@contextmanager
def kernels(deterministic: bool) -> Iterator[None]:
    """torch's deterministic kernels for the block, where asked; what has none says so on the standard error."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


if __name__ == "__main__":
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    trained(Path(sys.argv[1]), torch.device(sys.argv[2]), stop=KILLED)
