"""The posterior takes the forward step's variance beta for its own beta_tilde: too much noise in the late steps."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "posterior is Bayes' rule", r"beta for beta_tilde"


class Forward(VP):
    def posterior(self, x_t, x0, t, s):
        return super().posterior(x_t, x0, t, s)[0], self.transition(t, s).sigma


def report():
    return check_sde(Forward())
