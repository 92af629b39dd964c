r"""The learning rate of each update: a linear rise times a cosine that falls to zero.

    rate(k) = learning_rate * min(1, (k + 1)/warmup) * (1 + cos(pi k/steps))/2,   k = 0 .. steps - 1             (1)

The fall to zero lets the last weights themselves come to rest, so that they are nearly as good as their average.

References:
    Loshchilov & Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017, https://arxiv.org/abs/1608.03983
    Goyal et al., Accurate, Large Minibatch SGD, 2017, https://arxiv.org/abs/1706.02677, section 2.2
"""

from __future__ import annotations

import math

from sde_diffusion.training.settings import TrainSettings


def rate(settings: TrainSettings, step: int) -> float:
    """Equation (1) at the update that follows `step` updates."""
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    return settings.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
