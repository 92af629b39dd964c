"""Foreign engines behind the call of our own solvers, as oracles and for what they do better; one engine a file."""

from solvers.backends.scipy import Scipy
from solvers.backends.torchsde import Torchsde

__all__ = ["Scipy", "Torchsde"]
