"""Random changes of the core that survive because they make no difference to any result, each with the reason."""

from __future__ import annotations

REASONS: dict[str, str] = {
    "solvers/methods/exponential_adams.py: 4 -> 5": (
        "EXAMPLES are the methods that tests try, and no result depends on them; five terms keep their order with that starter too"
    ),
    "solvers/multistep.py: 3 -> 4": "twelve nodes hold the integral to 2e-15 for |a h| = 4 as for 3, against 30 digits of mpmath",
    "solvers/multistep.py: grid[-1] - grid[-2] -> grid[-1] + grid[-2]": "grid[-1] is infinite there",
    "solvers/sensitivity.py: 0 -> 1": "a step adds three columns at least, so there never is one; of none the general rule makes none",
    "sde_diffusion/exact/mixture.py: -1 -> 1": "the axis of the modes of a tensor (B, K) is both -1 and 1",
    "sde_diffusion/objectives/forward_states.py: 50 -> 51": (
        "how fine a simulated path is unless asked; the weak order is tested by `steps` given, and a test by 50 or 51 steps alone "
        "would be of the number"
    ),
}
"""`file: old -> new`, as `random_faults` says it without the line, and why no test can notice it."""
