"""Faults of the conformance kit itself: what judges others must be judged."""

from __future__ import annotations

from tests.mutations.fault import Fault

SUBJECTS, MUSEUM = "tests/testing/test_kit_subjects.py", "tests/known_bugs/test_known_bugs.py"

ORDERS = "tests/solvers/test_orders.py"

FAULTS = [
    Fault(
        "kit-moments-without-decay",
        "residuals",
        "(growth - decay - gain).abs()",
        "(growth - gain).abs()",
        "The variance's equation forgets that the drift shrinks what is there.",
        SUBJECTS,
        "every_process_passes and VP",
    ),
    Fault(
        "kit-posterior-without-a-prior",
        "bayes",
        "-0.5 * ((x - float(sde.alpha(s)) * x0) / sigma_s) ** 2 - 0.5",
        "-0.5",
        "Bayes' rule by quadrature, with the likelihood alone.",
        SUBJECTS,
        "every_process_passes and VP",
    ),
    Fault(
        "kit-residual-without-alpha",
        "statistics",
        "float(kernel.sigma) ** 2 / float(kernel.alpha) * trace",
        "float(kernel.sigma) ** 2 * trace",
        "The variance that a Jacobian stands for, right for alpha = 1 only.",
        SUBJECTS,
        "exact_denoisers_pass",
    ),
    Fault(
        "kit-upwind-the-wrong-way",
        "_generator",
        "spread + (1 - share) * drift",
        "spread + share * drift",
        "The flux through an edge weighs its two cells the wrong way round.",
        "tests/testing/test_kit_statistics.py",
        "grid_equation_keeps_mass",
    ),
    Fault(
        "kit-steps-all-alike",
        "alternating",
        "1.0, 3.0, 2.0",
        "1.0, 1.0, 1.0",
        "The rough grid is uniform: a multistep index goes unseen.",
        MUSEUM,
        "is_caught_and_named and multistep_index",
    ),
    Fault(
        "kit-interval-too-short",
        "_with_error",
        "reach = 3 * influence",
        "reach = 0.7 * influence",
        "The interval of a sampled order covers half of what it claims.",
        "tests/solvers/test_kit.py",
        "interval_of_a_strong_order",
    ),
    Fault(
        "kit-response-without-its-area",
        "spread_apart",
        "abs(s - t) ** 0.5 + tilt - linear",
        "abs(s - t) ** 0.5 - linear",
        "What a method does with the Levy area does not reach its strong error.",
        ORDERS,
        "strong_order_on_a_linear and SRA1",
    ),
    Fault(
        "kit-second-differences-undivided",
        "mean_of_cubic",
        "2 * along[-1]).sum() / 2)",
        "2 * along[-1]).sum())",
        "The mean of a quadratic is its second derivative and not half of it.",
        ORDERS,
        "nonlinear_cascade and Euler and up",
    ),
    Fault(
        "kit-cascade-without-its-bracket",
        "Cascade.moments",
        "cube + tau.cos() * ys + noise",
        "cube + tau.cos() * ys",
        "Both components share one noise, and their covariation is left out of E[x y].",
        ORDERS,
        "exact_moments_solve",
    ),
    Fault(
        "kit-wrong-cure-for-the-noise",
        "NOISE_FACTORS",
        '"sqrt(2) is missing before the noise": math.sqrt(2)',
        '"sqrt(2) is missing before the noise": 2.0',
        "The correction that is tried is not the one that is named.",
        MUSEUM,
        "is_caught_and_named and noise_without_root_two",
    ),
    Fault(
        "kit-asks-a-sample-beside-itself",
        "batch_invariance",
        "gap(look.run(FixedGrid(method, 8), [i]), together[i : i + 1])",
        "gap(together[i : i + 1], together[i : i + 1])",
        "Batch invariance is measured on the batch alone.",
        MUSEUM,
        "is_caught_and_named and batch_mean_step",
    ),
]
