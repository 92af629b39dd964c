"""Faults of the noise: Wiener paths, and the random numbers that they are made of."""

from __future__ import annotations

from tests.mutations.fault import Fault

WIENER, TREE = "tests/solvers/test_wiener.py", "tests/solvers/test_wiener_tree.py"

FAULTS = [
    Fault(
        "fresh-increments-without-the-root",
        "solvers/wiener.py",
        "return math.sqrt(variance)",
        "return variance",
        "h for sqrt(h): noise that vanishes as the grid is refined.",
        WIENER,
        "law_on_a_grid",
    ),
    Fault(
        "keyed-increments-without-a-sign",
        "solvers/wiener.py",
        "sign * root(abs(s - t))",
        "root(abs(s - t))",
        "W(t) - W(s) equals W(s) - W(t): a step back does not undo the step.",
        WIENER,
        "backwards_is_minus_forwards",
    ),
    Fault(
        "a-bridge-without-its-root",
        "solvers/wiener_tree.py",
        "2 * root(w * (1 - w))",
        "2 * w * (1 - w)",
        "The variance of the Brownian bridge for its deviation: the path is too smooth between the nodes of the tree.",
        TREE,
        "tree_covariance or tree_has_the_exact_law",
    ),
    Fault(
        "the-path-follows-the-place-in-the-batch",
        "solvers/wiener.py",
        "mix(digest(self.seed), self.indices)",
        "mix(digest(self.seed), torch.arange(len(self.indices), device=self.device))",
        "The noise belongs to the position and not to the sample: the same seed gives another image in another batch.",
        WIENER,
        "a_sample_does_not_know_its_batch",
    ),
    Fault(
        "uniforms-without-their-half",
        "solvers/random.py",
        "u.add_(0.5)",
        "u.add_(0.0)",
        "Numbers from the lower edges of their cells: no symmetry is left, and the lowest value is minus infinity.",
        "tests/solvers/test_random.py",
        "quantiles_at_the_ends",
    ),
    Fault(
        "area-with-the-variance-of-the-increment",
        "solvers/wiener.py",
        "root(abs(s - t) / 12)",
        "root(abs(s - t) / 3)",
        "The variance h/3 of the mean of W over a step for that of its Levy area, h/12.",
        WIENER,
        "increment_and_area_have_the_joint_law",
    ),
]
