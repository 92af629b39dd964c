"""An average of any length, made after training from the snapshots of a few: `profile_fit` says how much of each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sde_diffusion.io.finite import refuse_weights_not_finite
from sde_diffusion.training.checkpoints.fingerprint import check_fingerprint
from sde_diffusion.training.checkpoints.snapshots import Stored, open_snapshot, snapshots
from sde_diffusion.training.checkpoints.tensors import Tensors, check_alike
from sde_diffusion.training.ema.profile import gamma_of
from sde_diffusion.training.ema.profile_fit import coefficients, density, residual
from sde_diffusion.training.run_folder import RunFolder


@dataclass(frozen=True)
class Fit:
    """How one average is made of those that were kept.

    Attributes:
        sigma_rel, step: the average that is wanted, and after which step.
        times, gammas: the profiles that were kept (N,), in the order of `sources`.
        sources: the snapshot and the length of each.
        shares: the coefficients (N,).
    """

    sigma_rel: float
    step: int
    times: list[float]
    gammas: list[float]
    sources: list[tuple[Stored, float]]
    shares: NDArray[np.float64]

    @property
    def residual(self) -> float:
        """How much of the profile is missed; see the module."""
        return residual(self.times, self.gammas, self.step, gamma_of(self.sigma_rel), self.shares)

    def densities(self, tau: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The wanted and the fitted profile at the training times `tau` (N,)."""
        rows = [density(gamma, time, tau) for gamma, time in zip(self.gammas, self.times, strict=True)]
        return density(gamma_of(self.sigma_rel), self.step, tau), self.shares @ np.stack(rows)

    def average(self) -> Tensors:
        """The state of the model with this average, summed in float64, in the dtypes of the snapshots.

        Buffers are those of `step`. Raises CheckpointError when snapshots do not go together,
        FloatingPointError when they are not finite.
        """
        total, first = {}, None
        for (snapshot, length), share in zip(self.sources, self.shares, strict=True):
            state = snapshot.average(length)
            first = first or state
            check_alike(state, first, snapshot.path)
            _add(total, state, float(share), snapshot.buffers)
        assert first is not None
        found = {name: value.to(first[name].dtype) for name, value in total.items()}
        refuse_weights_not_finite(found, self.sources[0][0].path.parent)
        return found


def fit(folder: str | os.PathLike, sigma_rel: float, step: int | None = None) -> Fit:
    """The fit of a length by the snapshots of a run's folder up to that of step `step`, the last one if None.

    A profile ends with a jump, which only one that was kept at the same step has too: other steps are refused.

    Raises:
        ValueError: a length out of range, or no snapshot of this step.
        CheckpointError: one of the snapshots is damaged or foreign, or of another run than the rest.
    """
    gamma, found = gamma_of(sigma_rel), snapshots(RunFolder(Path(folder)).snapshots)
    if not found:
        raise ValueError(
            f"{folder} holds no snapshots to average; train with --training.snapshot_every 500, for example"
        )
    wanted = max(found) if step is None else step
    if wanted not in found:
        near = min(found, key=lambda number: abs(number - wanted))
        raise ValueError(f"{folder} holds no snapshot of step {wanted}; the nearest is {near}")
    stored = [open_snapshot(path) for number, path in found.items() if number <= wanted]
    for one in stored:
        check_fingerprint(one.fingerprint, stored[0].fingerprint, one.path)
    sources = [(one, length) for one in stored for length in one.lengths]
    times, gammas = [float(one.step) for one, _ in sources], [gamma_of(length) for _, length in sources]
    return Fit(sigma_rel, wanted, times, gammas, sources, coefficients(times, gammas, wanted, gamma))


def reconstruct(folder: str | os.PathLike, sigma_rel: float, step: int | None = None) -> Tensors:
    """The state of a run's model whose parameters are averaged with the length `sigma_rel`; see `fit` for the rest.

    `model.load_state_dict` takes it. Each snapshot up to the step is read once; no two are in memory together.
    """
    return fit(folder, sigma_rel, step).average()


def _add(total: Tensors, state: Tensors, share: float, buffers: frozenset[str]) -> None:
    """Add a share of each parameter, in float64; take a buffer as it is."""
    for name, value in state.items():
        if name in buffers:
            total[name] = value
        else:
            wide = value.to(torch.promote_types(value.dtype, torch.float64))
            total[name] = wide * share if name not in total else total[name].add_(wide, alpha=share)
