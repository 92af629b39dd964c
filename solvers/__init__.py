"""Numerics of ordinary and stochastic differential equations: equations, paths, grids, methods, the one loop.

This package has no scores, denoisers or networks: it solves any ODE or SDE. Everyday names are re-exported here; every
method has a file of its own.
"""

from solvers.area_tree import AreaTree
from solvers.equations import (
    ODE,
    Density,
    DiagonalSDE,
    Equation,
    ItoSDE,
    MarkovChain,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
    TargetFamily,
)
from solvers.grids import fixed, geometric, power, through, uniform
from solvers.integrate import FixedGrid, Solver, integrate
from solvers.method import Method, Order
from solvers.methods.adams_bashforth import AdamsBashforth
from solvers.methods.ancestral import Ancestral
from solvers.methods.euler import Euler
from solvers.methods.euler_maruyama import EulerMaruyama
from solvers.methods.exponential_adams import ExponentialAdams
from solvers.methods.exponential_euler import ExponentialEuler
from solvers.methods.heun import Heun
from solvers.methods.rk4 import RK4
from solvers.methods.stochastic_heun import StochasticHeun
from solvers.wiener import FreshIncrements, KeyedIncrements, WienerPath
from solvers.wiener_tree import WienerTree

__all__ = [
    "ODE",
    "RK4",
    "AdamsBashforth",
    "Ancestral",
    "AreaTree",
    "Density",
    "DiagonalSDE",
    "Equation",
    "Euler",
    "EulerMaruyama",
    "ExponentialAdams",
    "ExponentialEuler",
    "FixedGrid",
    "FreshIncrements",
    "Heun",
    "ItoSDE",
    "KeyedIncrements",
    "MarkovChain",
    "Method",
    "Order",
    "RenoisedODE",
    "SemilinearODE",
    "SemilinearSDE",
    "Solver",
    "StochasticHeun",
    "TargetFamily",
    "WienerPath",
    "WienerTree",
    "fixed",
    "geometric",
    "integrate",
    "power",
    "through",
    "uniform",
]
