"""Faults of tuning: of the derivative through a solver, of the search, and of who decides."""

from __future__ import annotations

from tests.mutations.fault import Fault

TABLES, TUNING, PROBLEM = "tests/solvers/test_tabulated.py", "tests/test_tuning.py", "tests/test_tuning_problem.py"

FAULTS = [
    Fault(
        "search-from-one-start",
        "_Search.run",
        "zip(begins, goals, strict=True)",
        "zip(begins[:1], goals, strict=False)",
        "The other starts are measured and never descended from.",
        TUNING,
        "two_solvers",
    ),
    Fault(
        "derivative-forgets-the-told-time",
        "states_and_derivatives",
        "torch.cat([along, at_time.unsqueeze(1)], 1)",
        "torch.cat([along, 0 * at_time.unsqueeze(1)], 1)",
        "The grid is not learned: the field is taken for constant in time.",
        TABLES,
        "derivative_is_that_of_reverse_mode",
    ),
    Fault(
        "derivative-of-the-newest-field-only",
        "states_and_derivatives",
        "moved.insert(0, torch.cat",
        "moved[:] = fields[1:] and [torch.zeros_like(m) for m in moved]\nmoved.insert(0, torch.cat",
        "The memory of a multistep method is taken for constants, as if it had been detached.",
        TABLES,
        "derivative_is_that_of_reverse_mode",
    ),
    Fault(
        "told-times-are-ignored",
        "Tabulated.step",
        "at = t if self.times is None else self.times[state.row]",
        "at = t",
        "The grid's times instead of the learned ones.",
        TABLES,
        "tensors_and_floats_walk_alike",
    ),
    Fault(
        "table-keeps-sums-for-steps",
        "table_of",
        "rows[1:, 1:] - factors.unsqueeze(1) * rows[:-1, 1:]",
        "rows[1:, 1:]",
        "The coefficients from the start are taken for those of one step.",
        TABLES,
        "table_of_a_method_is_the_method",
    ),
    Fault(
        "damping-in-the-units-of-nobody",
        "_step",
        "unit = matrix.diagonal().clamp_min(torch.finfo(matrix.dtype).tiny).sqrt()",
        "unit = torch.ones_like(gradient)",
        "Levenberg without Marquardt: the steps depend on the unit of each parameter.",
        TABLES,
        "does_not_know_the_units",
    ),
    Fault(
        "the-trained-on-decide",
        "_Search._descent",
        "TuneProgress(i + 1, distance, self.distance(numbers, self.held_out)), numbers",
        "TuneProgress(i + 1, distance, distance), numbers",
        "The training error chooses: what was learned by heart is kept.",
        TUNING,
        "held_out_trajectories_decide",
    ),
    Fault(
        "held-out-are-the-trained-on",
        "tune",
        "draw.goal(0, 1), draw.goal(HELD_OUT, HELD_OUT_FACTOR)",
        "draw.goal(0, 1), draw.goal(0, DECIDE)",
        "One set under two names.",
        TUNING,
        "no_trajectory_that_decides",
    ),
    Fault(
        "the-choice-is-not-looked-at",
        "tune",
        "stations=(choice, *ends.stations)",
        "stations=ends.stations",
        "On separate points nothing moves the end, and nothing is learned.",
        PROBLEM,
        "choice_is_learned",
    ),
    Fault(
        "far-trajectories-count-in-full",
        "_add",
        "weights = 1 / (1 + residuals.square().mean(1)) / residuals.shape[1]",
        "weights = torch.ones(len(residuals), dtype=torch.float64) / residuals.shape[1]",
        "The normal equations of plain squares under a loss of logarithms.",
        PROBLEM,
        "normal_equations",
    ),
    Fault(
        "told-levels-of-another-chart",
        "_Recast.forward",
        "y, u = x_t / unit, kernel.sigma / unit",
        "y, u = x_t / unit, kernel.sigma / kernel.alpha",
        "The recast denoiser reads the sigma form's clock.",
        PROBLEM,
        "another_chart",
    ),
]
"""All deliberate faults of tuning."""
