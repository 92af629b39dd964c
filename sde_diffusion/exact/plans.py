r"""Plans: joint laws of (x_0, x_1), a pair being one event of shape (2, *E).

The entropic plan of temperature eps minimises E|x_0 - x_1|^2/2 - eps entropy among the joint laws of two given ends. It is
the joint law of the ends of the Schroedinger bridge whose reference is sqrt(eps) dW on [0, 1]. Between N(m0, S0) and
N(m1, S1) it is Gaussian, with M = S0^{1/2} S1 S0^{1/2} and

    Cov(x_0, x_1) = S0^{1/2} f(M) S0^{-1/2},   f(m) = m / (sqrt(m + eps^2/4) + eps/2),                             (1)

and eps = 0 is optimal transport. A plan phi(x) e^{x.y/eps} v(y) is the entropic plan of its own ends. With

    phi = sum_j b_j N(rho_j, eps R_j),   v = sum_k a_k N(r_k, eps S_k),   |R_j| |S_k| < 1,                         (2)

it is a mixture of J K Gaussians of precision [[R_j^{-1}, -I], [-I, S_k^{-1}]]/eps: an exact bridge between mixtures.

References:
    Janati et al., Entropic Optimal Transport between Unbalanced Gaussian Measures has a Closed Form, 2020,
        https://arxiv.org/abs/2006.02572, theorem 1
    Bunne et al., The Schroedinger Bridge between Gaussian Measures has a Closed Form, 2022, https://arxiv.org/abs/2202.05722
    Korotin, Gushchin & Burnaev, Light Schroedinger Bridge, 2023, https://arxiv.org/abs/2310.01174
"""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.exact.law import Law
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.spectrum import eigen, require_density


def entropic_plan(near: Gaussian, far: Gaussian, eps: float) -> Gaussian:
    """Equation (1): the law of the pairs (2, *E); eps = 0 is the optimal plan.

    Raises ValueError for ends of different shapes, a singular covariance or a negative eps.
    """
    _check_ends(near, far)
    if not 0 <= eps < float("inf"):
        raise ValueError(f"expected a temperature eps >= 0, got {eps}; eps = 0 is optimal transport")
    values, basis = eigen(near.covariance)
    require_density(values)
    root, inverse = ((basis * scaled) @ basis.mT for scaled in (values.sqrt(), values.rsqrt()))
    m, axes = eigen(root @ far.covariance @ root)
    share = m / ((m + eps**2 / 4).sqrt() + eps / 2)
    return joint(near, far, root @ (axes * share) @ axes.mT @ inverse)


def joint(near: Gaussian, far: Gaussian, cross: Tensor) -> Gaussian:
    """The Gaussian of pairs (2, *E) with the given ends and Cov(x_0, x_1) = cross, shape (d, d).

    Raises ValueError where these are no covariance.
    """
    rows = torch.cat((near.covariance, cross), 1), torch.cat((cross.mT, far.covariance), 1)
    return Gaussian(torch.stack((near.mean, far.mean)), torch.cat(rows))


def independent_plan(near: Law, far: Law) -> Mixture:
    """All pairs of the components of two mixtures (or Gaussians): the plan of flow matching without a coupling."""
    _check_ends(near, far)
    (w0, m0, s0), (w1, m1, s1) = components(near), components(far)
    j, k = torch.meshgrid(torch.arange(len(w0)), torch.arange(len(w1)), indexing="ij")
    j, k = j.reshape(-1), k.reshape(-1)
    covariances = torch.stack([torch.block_diag(s0[a], s1[b]) for a, b in zip(j, k, strict=True)])
    means = torch.stack((m0[j], m1[k]), 1).reshape(-1, 2, *near.event_shape)
    return Mixture(w0[j] * w1[k], means, covariances)


def potentials_plan(near: tuple[Tensor, Tensor, Tensor], far: tuple[Tensor, Tensor, Tensor], eps: float) -> Mixture:
    """Equation (2): each side is (weights (K,), means (K, d), matrices (K, d, d)), in float64; pairs have the shape (2, d).

    Raises ValueError where a component is not normalisable.
    """
    (b, rho, r_near), (a, r, s_far) = near, far
    j, k = (index.reshape(-1) for index in torch.meshgrid(torch.arange(len(b)), torch.arange(len(a)), indexing="ij"))
    d = rho.shape[1]
    first, second = torch.linalg.inv(r_near)[j], torch.linalg.inv(s_far)[k]
    eye = torch.eye(d, dtype=rho.dtype).expand(len(j), d, d)
    precision = torch.cat((torch.cat((first, -eye), 2), torch.cat((-eye, second), 2)), 1)
    if bool((torch.linalg.eigvalsh(precision) <= 0).any()):
        raise ValueError("a component of the plan has no finite mass; make the matrices smaller: |R_j| |S_k| < 1")
    covariance = torch.linalg.inv(precision)
    pull = torch.cat((_apply(first, rho[j]), _apply(second, r[k])), 1)
    means = _apply(covariance, pull)
    own = (rho[j] * pull[:, :d]).sum(1) + (r[k] * pull[:, d:]).sum(1)
    logs = b[j].log() + a[k].log() + ((pull * means).sum(1) - own) / (2 * eps)
    logs = logs + (torch.logdet(first) + torch.logdet(second) - torch.logdet(precision)) / 2
    return Mixture(logs.softmax(0), means.reshape(-1, 2, d), eps * (covariance + covariance.mT) / 2)


def components(law: Law) -> tuple[Tensor, Tensor, Tensor]:
    """(weights (K,), means (K, d), covariances (K, d, d)) of a mixture or a Gaussian; TypeError for any other law."""
    if isinstance(law, Gaussian):
        return law.centre.new_ones(1), law.centre.unsqueeze(0), law.covariance.unsqueeze(0)
    if not isinstance(law, Mixture):
        raise TypeError(f"a plan is made of Gaussians or mixtures of them, got {type(law).__name__}; give a Mixture")
    scaled = torch.diag_embed(law.spectrum)
    return law.weights, law.centres, scaled if law.basis is None else law.basis @ scaled @ law.basis.mT


def _check_ends(near: Law, far: Law) -> None:
    if near.event_shape != far.event_shape:
        raise ValueError(
            f"both ends have samples of one shape, got {tuple(near.event_shape)} and {tuple(far.event_shape)}; "
            "reshape one of them"
        )


def _apply(matrices: Tensor, vectors: Tensor) -> Tensor:
    return torch.einsum("kij,kj->ki", matrices, vectors)
