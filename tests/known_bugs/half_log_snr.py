"""log(alpha/sigma) and log(alpha^2/sigma^2) both go by the name of lambda: the inverse takes the one for the other."""

from __future__ import annotations

from sde_diffusion.sde import VP
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "time inverts log_snr", r"half of the log-SNR"


class Half(VP):
    def time(self, log_snr):
        return super().time(2 * log_snr)


def report():
    return check_sde(Half())
