r"""How much of the data a linear denoiser can bring back, by noise level: bounds for every model worth its training.

Behind x_t = alpha x_0 + sigma eps, with snr = alpha^2/sigma^2 and v_i the variances of the data along an orthonormal basis,

    mean        E|m - x_0|^2/D             = mean_i v_i                           the data's mean m for an answer     (1)
    noisy       E|x_t/alpha - x_0|^2/D     = 1/snr                                identity, the noisy input           (2)
    wiener      E|linear(x_t) - x_0|^2/D   = mean_i v_i/(1 + snr v_i)             the best gain on each coefficient   (3)

For the eigenbasis of the covariance, (3) is the least error of any linear denoiser, and what the best denoiser reaches
where the data are Gaussian; for any other distribution, and any other basis, it is above that of E[x_0 | x_t]. The eigenbasis of
many coordinates takes many samples and long: then it is the lesser of two, that of the coordinates themselves and that of
cosines, which nearly are the eigenvectors of pictures.

References:
    Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949
    Ahmed, Natarajan & Rao, Discrete Cosine Transform, 1974, https://doi.org/10.1109/T-C.1974.223784
    Guo, Shamai & Verdu, Mutual Information and Minimum Mean-Square Error in Gaussian Channels, 2005,
        https://arxiv.org/abs/cs/0412108, section II (the Gaussian input is the hardest to estimate)
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST, EVENTS = 1024, 8192
"""Coordinates up to which the covariance is diagonalised, given four times as many samples; samples that are used."""


def spectra(x: Tensor) -> Tensor:
    """The variances v of samples (N, *E) along the vectors of each basis, float64 (bases, D) on the CPU.

    One basis, the eigenvectors, or two, the coordinates and the cosines.
    """
    rows = x[:EVENTS].detach().cpu().double()
    size = rows[0].numel()
    if size <= MOST and len(rows) >= 4 * size:
        return torch.linalg.eigvalsh(torch.cov(rows.flatten(1).T).reshape(size, size)).clamp(min=0)[None]
    return torch.stack([rows.flatten(1).var(0), _cosines(rows).flatten(1).var(0)])


def bounds(variances: Tensor, log_snr: Tensor) -> dict[str, Tensor]:
    """Equations (1) to (3) at log-SNRs (K,), each (K,), for variances (bases, D)."""
    snr = log_snr.exp()
    wiener = (variances / (1 + snr[:, None, None] * variances)).mean(-1).amin(-1)
    return {"mean": variances[0].mean().expand(len(snr)), "noisy": 1 / snr, "wiener": wiener}


def _cosines(rows: Tensor) -> Tensor:
    """The coefficients of events (N, C, *space) along the orthonormal cosines of each channel; (N, D) as they are."""
    from scipy.fft import dctn

    space = tuple(range(2, rows.ndim))
    return torch.from_numpy(dctn(rows.numpy(), axes=space, norm="ortho")) if space else rows
