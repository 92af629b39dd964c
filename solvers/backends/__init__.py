"""Other libraries' solvers behind the interface of our own, as references and for what they do better; one library a file."""

from solvers.backends.scipy import Scipy
from solvers.backends.torchsde import Torchsde

__all__ = ["Scipy", "Torchsde"]
