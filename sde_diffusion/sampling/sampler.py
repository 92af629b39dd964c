"""stub"""
from sde_diffusion.sampling.default_ode import default_solver
class Sampler:
    """stub"""
    def build(self, sde, denoiser, *, nfe=None, steps=None, tol=None, data_std=1.0):
        return default_solver(sde, denoiser, nfe or steps or 20)
