"""Faults of the noise: Wiener paths, and the random numbers that they are made of."""

from __future__ import annotations

from tests.mutations.fault import Fault

WIENER, TREE = "tests/solvers/test_wiener.py", "tests/solvers/test_wiener_tree.py"
AREA, WAITING = "tests/solvers/test_area_tree.py", "tests/test_synchronisation.py"

FAULTS = [
    Fault(
        "fresh-increments-without-the-root",
        "root",
        "return math.sqrt(variance)",
        "return variance",
        "h for sqrt(h): noise that vanishes as the grid is refined.",
        WIENER,
        "law_on_a_grid",
    ),
    Fault(
        "keyed-increments-without-a-sign",
        "KeyedIncrements.increment",
        "sign * root(abs(s - t))",
        "root(abs(s - t))",
        "W(t) - W(s) equals W(s) - W(t): a step back does not undo the step.",
        WIENER,
        "backwards_is_minus_forwards",
    ),
    Fault(
        "a-bridge-without-its-root",
        "WienerTree.inside",
        "2 * root(w * (1 - w))",
        "2 * w * (1 - w)",
        "The variance of the Brownian bridge for its deviation: the path is too smooth between the nodes of the tree.",
        TREE,
        "tree_covariance or tree_has_the_exact_law",
    ),
    Fault(
        "the-path-follows-the-place-in-the-batch",
        "PathSpec.keys",
        "mix(digest(self.seed), self.indices)",
        "mix(digest(self.seed), torch.arange(len(self.indices), device=self.device))",
        "The noise belongs to the position and not to the sample: the same seed gives another image in another batch.",
        WIENER,
        "a_sample_does_not_know_its_batch",
    ),
    Fault(
        "uniforms-without-their-half",
        "gaussians",
        "u.add_(0.5)",
        "u.add_(0.0)",
        "Numbers from the lower edges of their cells: no symmetry is left, and the lowest value is minus infinity.",
        "tests/solvers/test_random.py",
        "quantiles_at_the_ends",
    ),
    Fault(
        "area-with-the-variance-of-the-increment",
        "KeyedIncrements.increment_and_area",
        "root(abs(s - t) / 12)",
        "root(abs(s - t) / 3)",
        "The variance h/3 of the mean of W over a step for that of its Levy area, h/12.",
        WIENER,
        "increment_and_area_have_the_joint_law",
    ),
    Fault(
        "halves-of-a-tree-with-areas-lean-the-same-way",
        "AreaTree.halves",
        "below, above = tilt + z[1], tilt - z[1]",
        "below, above = tilt + z[1], tilt + z[1]",
        "The areas of both halves share the sign of their variable: their sum is not the area of the whole.",
        AREA,
        "joint_law or areas_add_up",
    ),
    Fault(
        "a-leaf-that-forgets-how-area-and-increment-hang-together",
        "AreaTree.inside",
        ".sub_(zeta * along(x * x / (2 * q), d))",
        "",
        "Given both ends, area and increment up to t are correlated; without it single answers look right.",
        AREA,
        "joint_law or exactly_their_covariances",
    ),
    Fault(
        "an-order-of-questions-that-forgets",
        "AreaTree.increment",
        "before, after = self.at(t)[0], self.at(s)[0]",
        "after, before = self.at(s)[0], self.at(t)[0]",
        "The end of a step is asked first and is no longer remembered when it begins the next: each time twice.",
        TREE,
        "a_walk_draws_few_variables",
    ),
    Fault(
        "a-level-copied-from-the-host",
        "constant",
        "return torch.full((), c, dtype=dtype, device=device)",
        "return torch.as_tensor(c, dtype=dtype, device=device)",
        "Each call of the network waits for the device: a float becomes a tensor on the host and is copied.",
        WAITING,
        "no_sampler_of_a_network",
    ),
    Fault(
        "a-compiled-denoiser-that-is-told-floats",
        "Compiled.forward",
        "Kernel(*(constant(c, torch.float64, x_t.device) for c in (kernel.alpha, kernel.sigma)))",
        "kernel",
        "The compiler takes each noise level for a new program, until it gives up.",
        "tests/test_recompilation.py",
        "a_compiled_denoiser",
    ),
    Fault(
        "a-renumbered-path-that-remembers",
        "KeyedPath.renumber",
        "self.forget()\nfor channel",
        "for channel",
        "A replayed graph, or a path given other samples, answers with what it kept of the last ones.",
        "tests/solvers/test_graph.py",
        "renumbered",
    ),
]
