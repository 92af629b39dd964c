"""Faults of tuning: of the derivative through a solver, of the search, and of who decides."""

from __future__ import annotations

from tests.mutations.fault import Fault

TABLES, TUNING = "tests/solvers/test_tabulated.py", "tests/test_tuning.py"

FAULTS = [
    Fault(
        "search-from-one-start",
        "sde_diffusion/tuning.py",
        "for start in starts:",
        "for start in starts[:1]:",
        "The plainer start is measured and never descended from.",
        TUNING,
        "two_solvers",
    ),
    Fault(
        "derivative-forgets-the-told-time",
        "solvers/sensitivity.py",
        "torch.cat([along, at_time.unsqueeze(1)], 1)",
        "torch.cat([along, 0 * at_time.unsqueeze(1)], 1)",
        "The grid is not learned: the field is taken for constant in time.",
        TABLES,
        "derivative_is_that_of_reverse_mode",
    ),
    Fault(
        "derivative-of-the-newest-field-only",
        "solvers/sensitivity.py",
        "moved.insert(0, torch.cat",
        "moved[:] = fields[1:] and [torch.zeros_like(m) for m in moved]\n        moved.insert(0, torch.cat",
        "The memory of a multistep method is taken for constants, as if it had been detached.",
        TABLES,
        "derivative_is_that_of_reverse_mode",
    ),
    Fault(
        "told-times-are-ignored",
        "solvers/methods/tabulated.py",
        "told = t if self.times is None else self.times[state.row]",
        "told = t",
        "The grid's times instead of the learned ones.",
        TABLES,
        "tensors_and_floats_walk_alike",
    ),
    Fault(
        "table-keeps-sums-for-steps",
        "solvers/table.py",
        "torch.cat([*states, end]).diff(dim=0)",
        "torch.cat([*states, end])[1:]",
        "The coefficients from the start are taken for those of one step.",
        TABLES,
        "table_of_a_method_is_the_method",
    ),
    Fault(
        "damping-in-the-units-of-nobody",
        "solvers/levenberg_marquardt.py",
        "unit = matrix.diagonal().clamp_min(torch.finfo(matrix.dtype).tiny).sqrt()",
        "unit = torch.ones_like(gradient)",
        "Levenberg without Marquardt: the steps depend on the unit of each parameter.",
        TABLES,
        "does_not_know_the_units",
    ),
    Fault(
        "the-trained-on-decide",
        "sde_diffusion/tuning.py",
        "problem.distance(numbers, problem.held_out)), numbers",
        "problem.distance(numbers, problem.train)), numbers",
        "The training error chooses: what was learned by heart is kept.",
        TUNING,
        "held_out_trajectories_decide",
    ),
    Fault(
        "held-out-are-the-trained-on",
        "sde_diffusion/tuning.py",
        "draw.trajectories(0), draw.trajectories(HELD_OUT)",
        "draw.trajectories(0), draw.trajectories(0)",
        "One set under two names.",
        TUNING,
        "no_trajectory_that_decides",
    ),
]
"""All deliberate faults of tuning."""
