"""All deliberate faults, from the floor of the numerics up."""

from __future__ import annotations

from tests.mutations import in_processes, in_sampling, in_solvers

FAULTS = [*in_solvers.FAULTS, *in_processes.FAULTS, *in_sampling.FAULTS]
