"""stub"""
from sde_diffusion.sampling.sampler import Sampler
def default(): return Sampler()
def parse(x): return Sampler()
