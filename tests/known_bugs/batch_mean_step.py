"""The corrector's step size from norms averaged over the batch: a sample's neighbours decide how far it goes."""

from __future__ import annotations

import torch

from solvers import EulerMaruyama
from solvers.methods.predictor_corrector import PredictorCorrector
from solvers.testing import check_method

CHECK, CAUSE = "batch invariance (TargetFamily)", r"taken over the batch"


class Averages(PredictorCorrector):
    def step(self, equation, x, t, s, path, state):
        x, state = self.predictor.step(equation.transport, x, t, s, path, state)
        z = path.channel(1).increment(t, s) / abs(s - t) ** 0.5
        score = equation.score(x, s)
        ratio = z.flatten(1).norm(dim=1).mean() / score.flatten(1).norm(dim=1).mean()
        size = 2 * (self.snr * ratio) ** 2
        return x + size * score + torch.sqrt(2 * size) * z, state


def report():
    return check_method(Averages(EulerMaruyama()))


def sound():
    return check_method(PredictorCorrector(EulerMaruyama()))
