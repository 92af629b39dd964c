"""The kit applied to samplers of other libraries and to our own: declared against observed order, and behaviour.

python -m benchmarks.conformance
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from benchmarks.output import RESULTS, save_table
from sde_diffusion.reversal import data_form, sigma_form, velocity_form
from sde_diffusion.testing import SamplerUnderTest, check_sampler
from sde_diffusion.testing.adapters import azula, diffusers, k_diffusion
from sde_diffusion.testing.adapters.torchsde import check_torchsde
from sde_diffusion.testing.sampler import ours
from solvers import AdamsBashforth, ExponentialAdams, ExponentialEuler, Heun, Order
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.testing import Finding, Report

COLUMNS = [
    "library",
    "sampler",
    "declared",
    "observed",
    "alternating steps",
    "batch",
    "repeatable",
    "last step to 0",
    "reads a step",
    "global draws",
]
NOTES = """
How to read it. All samplers are given one exact denoiser (a mixture of two Gaussians on the line; for stochastic ones a
Gaussian distribution), the same noise levels in float64, and no network. *Declared* is the order in the sampler's documentation
or paper (UniPC: its order with the corrector); a dash where we know of none. *Observed* is the slope of the error between {fine} and twice as many
steps on a smooth, uneven grid from sigma/alpha = 5 to 0.1, with the interval of `solvers.testing.orders`: weak for stochastic samplers,
measured without random numbers. *Alternating steps* is the order on steps of lengths 1, 3, 2 in turn in log(sigma):
no usual schedule is so rough, and a sampler that is of high order on usual schedules only is not wrong there. *Batch*
and *repeatable* are the largest differences between a sample alone and in its batch, and between a run and its
repetition on a new object. *Last step to 0* is how far a run that ends at sigma = 0 lands from data at one point; "not
defined" where it lands on NaN: the formula chosen here (full order to the end) has no limit there, and the library's own
schedules stop above zero or end on a formula of lower order. *Reads* are transfers of a value to the host for each step, the adapter's own included
(one for each call of the denoiser). *Global draws*: whether a run moves torch's global generator, though it was given
its noise or wants none.

A multistep sampler that takes its first steps by formulas of lower order, as most do, leaves an error of order two
behind: on a span where those steps count, such as this one, a third or fourth order is then not observed, whatever the
formulas are. Schedules in use begin at a level where the first steps count for little.

Settings that were chosen here: schedulers of diffusers use their multistep formulas to the end (`lower_order_final=False`)
unless named; stochastic samplers are given the kit's noise through their public argument for it. The levels are written
into the schedulers' public tables, which is not how a pipeline uses them: figures concern the formulas, not the schedules.
"""


def samplers() -> Iterator[tuple[str, SamplerUnderTest]]:
    """Every setting, with its library."""
    yield "sde_diffusion", ours("data form, exponential Euler (DDIM)", data_form, ExponentialEuler(), 1)
    yield "sde_diffusion", ours("data form, exponential Adams 2", data_form, ExponentialAdams(2), 2)
    yield "sde_diffusion", ours("data form, predict-evaluate-correct 2", data_form, PredictEvaluateCorrect(2), 3)
    yield "sde_diffusion", ours("sigma form, Heun", sigma_form, Heun(), 2)
    yield "sde_diffusion", ours("velocity form, Adams-Bashforth 2", velocity_form, AdamsBashforth(2), 2)
    yield (
        "sde_diffusion",
        ours("data form eta = 1, exponential Euler", partial(data_form, eta=1.0), ExponentialEuler(), 1),
    )
    for family in (_k_diffusion, _diffusers, _azula):
        try:
            yield from family()
        except ImportError as error:
            print(f"left out: {error.name} is not installed")


def _k_diffusion() -> Iterator[tuple[str, SamplerUnderTest]]:
    from k_diffusion import sampling as k

    silent = partial(k.sample_dpmpp_2s_ancestral, eta=0.0)
    for function, name, order in (
        (k.sample_euler, "euler", 1),
        (k.sample_heun, "heun", 2),
        (k.sample_dpm_2, "dpm_2", 2),
        (silent, "dpmpp_2s_ancestral, eta 0", 2),
        (k.sample_dpmpp_2m, "dpmpp_2m", 2),
        (partial(k.sample_lms, order=4), "lms, order 4", 4),
    ):
        yield "k-diffusion", k_diffusion.sampler(function, name, order)
    for function, name, order in (
        (k.sample_euler_ancestral, "euler_ancestral", 1),
        (k.sample_dpmpp_2m_sde, "dpmpp_2m_sde", None),
        (k.sample_dpmpp_3m_sde, "dpmpp_3m_sde", None),
    ):
        yield "k-diffusion", k_diffusion.sampler(function, name, order, stochastic=True)


def _diffusers() -> Iterator[tuple[str, SamplerUnderTest]]:
    import diffusers as d

    full = {"lower_order_final": False}
    plus = {"algorithm_type": "dpmsolver++", **full}
    noise = {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min", **full}
    for make, name, order, settings in (
        (d.DPMSolverMultistepScheduler, "DPMSolverMultistep ++ 2", 2, {"solver_order": 2, **plus}),
        (d.DPMSolverMultistepScheduler, "DPMSolverMultistep ++ 3", 3, {"solver_order": 3, **plus}),
        (d.DPMSolverMultistepScheduler, "DPMSolverMultistep 2", 2, {"solver_order": 2, **noise}),
        (d.DPMSolverMultistepScheduler, "DPMSolverMultistep 3", 3, {"solver_order": 3, **noise}),
        (d.DEISMultistepScheduler, "DEISMultistep 2", 2, {"solver_order": 2, **full}),
        (d.DEISMultistepScheduler, "DEISMultistep 3", 3, {"solver_order": 3, **full}),
        (d.UniPCMultistepScheduler, "UniPCMultistep 2 bh2", 3, {"solver_order": 2, "solver_type": "bh2", **full}),
        (d.UniPCMultistepScheduler, "UniPCMultistep 3 bh2", 4, {"solver_order": 3, "solver_type": "bh2", **full}),
    ):
        yield "diffusers", diffusers.scheduler(make, name, order, **settings)
    for order in (2, 4):
        yield "diffusers", diffusers.ipndm(order)
    sde = {"algorithm_type": "sde-dpmsolver++", **full}
    for order in (1, 2):
        name = f"DPMSolverMultistep sde++ {order}"
        yield (
            "diffusers",
            diffusers.scheduler(
                d.DPMSolverMultistepScheduler, name, 1 if order == 1 else None, True, solver_order=order, **sde
            ),
        )


def _azula() -> Iterator[tuple[str, SamplerUnderTest]]:
    from azula import sample as a

    yield "azula", azula.sampler(a.EulerSampler, "Euler", 1)
    yield "azula", azula.sampler(a.HeunSampler, "Heun", 2)
    yield "azula", azula.sampler(partial(a.DDIMSampler, eta=0.0), "DDIM, eta 0", 1)
    for family in ("zAB", "vAB", "zEAB", "xEAB"):
        for order in (2, 3):
            make = partial(getattr(a, f"{family}SamplerUnderTest"), order=order)
            yield "azula", azula.sampler(make, f"{family}, order {order}", order)
    yield "azula", azula.sampler(partial(a.REABSampler, order=2), "REAB, order 2", 2)


def row(library: str, sampler: SamplerUnderTest, report: Report) -> list[str]:
    """One line of the table."""
    found = {finding.check: finding for finding in report.findings}
    order = found.get("order", found.get("convergence"))
    rough, last = found.get("order on alternating steps"), found.get("last step to sigma = 0")
    declared = "-" if sampler.order is None else f"{sampler.order:g}"
    kind = ", weak" if sampler.stochastic else ""
    return [
        library,
        sampler.name,
        declared + (kind if sampler.order else ""),
        observed(order),
        observed(rough),
        figure(found.get("batch invariance")),
        figure(found.get("statelessness")),
        "not defined" if last is None or last.error == float("inf") else figure(last),
        figure(found.get("host reads in a step"), "{:.0f}"),
        "yes" if found["draws from the global generator"].error else "no",
    ]


def observed(finding: Finding | None) -> str:
    """The measured order of a finding's note."""
    return (
        "-"
        if finding is None or "observed" not in finding.note
        else finding.note.split("observed ")[1].split("],")[0] + "]"
    )


def figure(finding: Finding | None, text: str = "{:.0e}") -> str:
    """An error, "0" where there is none."""
    return "-" if finding is None else "0" if finding.error == 0 else text.format(finding.error)


def torchsde_rows() -> Iterator[list[str]]:
    """The methods of sdeint, for additive noise on uniform steps: strong and weak orders, both directions."""
    for method, declared, words in (
        ("euler", Order(strong=1, weak=1), "strong 1 (additive), weak 1"),
        ("milstein", Order(strong=1, weak=1), "strong 1, weak 1"),
        ("srk", Order(strong=1.5, weak=1.5), "strong 1.5"),
        ("heun", Order(strong=1, weak=1), "strong 1 (additive), weak 1"),
        ("midpoint", Order(strong=1, weak=1), "strong 1 (additive), weak 1"),
    ):
        report = check_torchsde(method, declared)
        found = {finding.check: finding for finding in report.findings}
        behaviour = [figure(found.get("batch invariance")), figure(found.get("statelessness"))]
        seen = "; ".join(f"{kind} {_both(found, kind)}" for kind in ("strong", "weak"))
        yield ["torchsde", method, words, seen, "-", *behaviour, "-", "-", "-"]


def _both(found: dict[str, Finding], kind: str) -> str:
    """The orders of a kind upwards and downwards in time."""
    return ", ".join(observed(f).split(" ")[0] for name, f in found.items() if name.startswith(f"{kind} order"))


def versions() -> dict[str, str]:
    """The libraries in the table."""
    found = {}
    for name in ("sde-diffusion", "k-diffusion", "diffusers", "azula", "torchsde"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def main(check: Callable[[SamplerUnderTest, str], Report] = check_sampler) -> None:
    """Check all, write the page."""
    rows = [row(library, sampler, check(sampler, "full")) for library, sampler in samplers()]
    rows += list(torchsde_rows())
    seen = versions()
    save_table("conformance", "Samplers under the conformance kit", COLUMNS, rows, versions=seen)
    page = RESULTS / "conformance.md"
    named = ", ".join(f"{name} {number}" for name, number in seen.items())
    page.write_text(
        page.read_text(encoding="utf-8") + f"\nVersions: {named}.\n" + NOTES.format(fine=80), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
