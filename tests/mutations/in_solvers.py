"""Faults of the numerics: steps, weights, orders and grids."""

from __future__ import annotations

from tests.mutations.fault import Fault

ORDERS = "tests/solvers/test_orders.py"

METHODS = [
    Fault(
        "heun-without-its-half",
        "Heun.finish_step",
        "h / 2, first + second",
        "h, first + second",
        "The two slopes are added, not averaged: every step moves twice as far.",
        ORDERS,
        "deterministic_order and Heun and sine and up",
    ),
    Fault(
        "heun-evaluates-twice-at-the-start",
        "Heun.finish_step",
        "equation.drift(axpy(x, h, first), s)",
        "equation.drift(axpy(x, h, first), t)",
        "The second slope is taken at the step's beginning: one sigma for both, a method of order one.",
        ORDERS,
        "deterministic_order and Heun and sine and up",
    ),
    Fault(
        "adams-weights-in-reverse",
        "_adams",
        "slice(-2, None, -1)",
        "slice(0, -1)",
        "Old and new fields exchange their weights: a multistep sampler that stays consistent and loses its order.",
        ORDERS,
        "deterministic_order and AdamsBashforth and sine and down",
    ),
    Fault(
        "multistep-takes-the-row-before",
        "advance",
        "row = history.table[history.row]",
        "row = history.table[max(history.row - 1, min(history.row, 1))]",
        "The weights belong to the step before: right on uniform grids, order one on others, as in a famous sampler.",
        ORDERS,
        "deterministic_order and Adams and sine and up",
    ),
    Fault(
        "moulton-reuses-the-prediction's-row",
        "merged",
        "zip(predictors[started:], correctors[started:], predictors",
        "zip(predictors[started:], correctors[started + 1 :], predictors",
        "The corrector of UniPC runs one index ahead of the step that it corrects.",
        ORDERS,
        "deterministic_order and PredictEvaluateCorrect and sine and up",
    ),
    Fault(
        "exponential-weights-from-the-wrong-end",
        "exponential_weights",
        "np.exp(rate * (end - tau))",
        "np.exp(rate * (tau - t[..., None]))",
        "The integrating factor counts from the step's beginning: early fields get the weight of late ones.",
        "tests/solvers/test_doors.py",
        "exponential_weights",
    ),
    Fault(
        "exponential-euler-without-its-rate",
        "factors",
        "math.expm1(rate * h) / rate",
        "math.expm1(rate * h)",
        "(e^{ah} - 1)/a without the division: invisible in the data form, where a = 1, wrong in every other chart.",
        ORDERS,
        "deterministic_order and ExponentialEuler and sine and up",
    ),
    Fault(
        "kutta-with-one-wrong-weight",
        "RK4.__init__",
        "1 / 6, 1 / 3, 1 / 3, 1 / 6",
        "1 / 6, 1 / 3, 1 / 6, 1 / 3",
        "Two entries of a tableau exchanged: consistent still, and of order one in the place of four.",
        ORDERS,
        "deterministic_order and RK4 and sine and up",
    ),
    Fault(
        "starter-leaves-early",
        "PredictEvaluateCorrect.started",
        "max(0, self.k - 2)",
        "max(0, self.k - 3)",
        "UniPC's start hands over a step too soon: the last step of the start has the order of fewer fields.",
        ORDERS,
        "deterministic_order and PredictEvaluateCorrect and sine and up",
    ),
    Fault(
        "radau-nodes-in-thirds",
        "_RADAU",
        "_RADAU = ((6 - math.sqrt(6)) / 10, (6 + math.sqrt(6)) / 10)",
        "_RADAU = (0.4, 0.8)",
        "The last stages stand where their quadrature is of a lower order.",
        ORDERS,
        "deterministic_order and ExponentialRungeKutta and sine and up",
    ),
]

GRIDS = [
    Fault(
        "steps-of-one-nth",
        "_steps",
        "method.step(equation, x, t, s, path, state)",
        "method.step(equation, x, t, t + (times[-1] - times[0]) / (len(times) - 1), path, state)",
        "1/N for the step on a grid that is not uniform.",
        ORDERS,
        "deterministic_order and Euler and sine and up and not Exponential",
    ),
    Fault(
        "spacing-is-ignored",
        "grid",
        "return (spacing or equation.spacing or uniform)(start, stop, steps)",
        "return uniform(start, stop, steps)",
        "The caller's own time steps are accepted and not used.",
        "tests/solvers/test_trajectory.py",
        "times_are_the_spacings",
    ),
    Fault(
        "rho-without-its-inverse",
        "_root",
        "return t ** (1 / rho)",
        "return t**rho",
        "The power spacing is warped by rho on the way in and on the way out, and not brought back between.",
        "tests/solvers/test_doors.py",
        "spacings_keep_their_ends",
    ),
    Fault(
        "density-in-time-not-in-its-logarithm",
        "by_density",
        "math.log(t) for t in times], logs",
        "t for t in times], logs",
        "The levels at which a density is given are read as logarithms: the points go elsewhere.",
        "tests/reversal/test_reversal_grids.py",
        "density_puts_its_points",
    ),
    Fault(
        "default-rule-in-the-wrong-chart",
        "in_chart",
        "u / (1 - c * u)",
        "u / (1 + c * u)",
        "The noise level of a reading of the default chart's clock: the inverse of another chart.",
        "tests/sampling/test_default_ode.py",
        "gaussian_lands",
    ),
    Fault(
        "default-weight-between-budgets",
        "Range.shape",
        "one.weight ** (1 - share) * other.weight**share",
        "one.weight ** (1 - share) + other.weight**share",
        "The chart's weight between two budgets is no mean of theirs.",
        "tests/sampling/test_default_ode.py",
        "numbers_lie_between",
    ),
]

CONTROL = [
    Fault(
        "adaptive-foresees-relief-too",
        "Controller.next",
        "unforeseen.clamp(max=0)",
        "unforeseen",
        "A difficulty that falls is taken to go on falling: steps grow on a promise.",
        "tests/solvers/test_adaptive.py",
        "difficulty_that_grows",
    ),
    Fault(
        "adaptive-tries-a-rejected-step-again",
        "_attempt_step",
        "| (length >= active.refused)",
        "",
        "A step that landing makes as long as the one just rejected is rejected for ever.",
        "tests/solvers/test_adaptive.py",
        "rejected_at_the_same_length",
    ),
    Fault(
        "adaptive-first-step-without-its-factorial",
        "Controller.first",
        "math.lgamma(self.exponent)",
        "5 * self.exponent",
        "The first step of an exponential is far too long, and rejected.",
        "tests/solvers/test_adaptive.py",
        "first_step_of_an_exponential",
    ),
]

FAULTS = [*METHODS, *GRIDS, *CONTROL]
