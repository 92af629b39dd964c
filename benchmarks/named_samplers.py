r"""Every named sampler at 20 calls, beside the default rule: `python -m benchmarks.named_samplers` writes docs/samplers-at-20-calls.md.

The error is the gap in the mean log-density at t_min, in nats, on two exactly known distributions and the processes VP, EDM and
Rectified. The table shows the mean of the absolute gaps and the largest. Deterministic samplers are compared with the flow from the
same initial states, stochastic ones with the exact value.
"""

from __future__ import annotations

import argparse
import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.sampling.named import SAMPLERS, default
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import EDM, VP, Rectified
from solvers import KeyedIncrements

LAWS = {"two": two, "ring8": ring8}
PROCESSES = {"VP": VP(), "EDM": EDM(), "Rectified": Rectified()}
NFE = 20
PAGE = Path(__file__).resolve().parents[1] / "docs/samplers-at-20-calls.md"
HEAD = f"""# Every named sampler at {NFE} calls

Made by `python -m benchmarks.named_samplers`. The denoisers are those of two Gaussian mixtures in the plane (`two`,
`ring8`), known exactly; the processes are VP, EDM and Rectified. Only the number of calls is given. The error is the gap
in the mean log-density at t_min, in nats: 0 is exact. Deterministic samplers are paired with the flow from the same
initial states (standard error below 0.003 where the error is small). Stochastic ones are compared with the exact value
(standard error ERROR). Stochastic samplers are made for more than {NFE} calls. Annealed Langevin is unstable at so few: its
C = 5 needs steps of log kappa below 2/C.

| sampler | equation, method, time grid | calls made | mean error | largest error |
|---|---|--:|--:|--:|
"""


def log_densities(sampler, law: str, process: str, count: int, nfe: int) -> tuple[Tensor, float, bool]:
    """The samples' log-densities (count,), the exact mean, and whether the sampler is stochastic."""
    exact, sde = LAWS[law](), PROCESSES[process]
    variance = exact.variance.mean().item()
    reversal, solver = sampler.build(sde, ExactDenoiser(exact), nfe=nfe, data_std=math.sqrt(variance))
    form = reversal.without_final_denoise().with_prior(sde.prior(exact.mean, variance))
    x = sample(form, solver, (count, 2), 0, noise=KeyedIncrements, chunk=count, dtype=torch.float64)
    there, mean = target(law, process)
    return there.log_prob(x), mean, reversal.equation.stochastic


@cache
def target(law: str, process: str):
    """The distribution at t_min and its mean log-density."""
    sde = PROCESSES[process]
    there = LAWS[law]().through(sde.kernel(sde.t_min))
    return there, there.log_prob(there.sample(10**6, torch.Generator().manual_seed(1))).mean().item()


@cache
def flow(law: str, process: str, count: int) -> float:
    """The mean log-density at the end of the flow from the same initial states."""
    return log_densities(default(), law, process, count, 200)[0].mean().item()


def error(sampler, law: str, process: str, count: int) -> float:
    """The absolute gap."""
    found, exact, stochastic = log_densities(sampler, law, process, count, NFE)
    return abs(found.mean().item() - (exact if stochastic else flow(law, process, count)))


def row(name: str, count: int) -> str:
    """A line of the table."""
    sampler = SAMPLERS[name]()
    errors = [error(sampler, law, process, count) for law in LAWS for process in PROCESSES]
    made = sampler.steps_for(NFE) * sampler.evaluations + (0 if name.startswith("default") else 1)
    parts = f"`{sampler.parts()}`" if hasattr(sampler, "parts") else "a rule"
    return f"| {name} | {parts} | {made} | {sum(errors) / len(errors):.2g} | {max(errors):.2g} |"


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000, help="samples in each cell")
    count = parser.parse_args().count
    torch.set_num_threads(1)
    lines = [row(name, count) for name in SAMPLERS if not name.startswith("adaptive")]
    PAGE.write_text(HEAD.replace("ERROR", f"{1 / math.sqrt(count):.3f}") + "\n".join(lines) + "\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
