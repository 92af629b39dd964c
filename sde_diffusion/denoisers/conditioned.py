"""stub"""
from sde_diffusion.denoisers.base import Denoiser
class Conditioned(Denoiser):
    """stub"""
    def __init__(self, inner, **condition):
        super().__init__(); self.inner, self.given = inner, condition
    def forward(self, x_t, kernel, **condition):
        return self.inner(x_t, kernel, **self.given, **condition)
