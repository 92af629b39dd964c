"""diffusers: its multistep schedulers without noise."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

from benchmarks.peers.base import Peer
from sde_diffusion.testing.adapters import diffusers


def peers() -> Iterator[Peer]:
    """DPM-Solver (2, 3), UniPC (2, 3), SA-Solver without noise and iPNDM (2 to 4).

    Left out, for another setting gives the same numbers: DPM-Solver++ 2M and 3M (k-diffusion's), DEIS 2 and 3
    (azula's zEAB), UniPC 3 bh1 (bh2; within 5% on the noise), SA-Solver on the data (UniPC 3, within 2%).
    """
    import diffusers as d

    full = {"lower_order_final": False}
    for order in (2, 3):
        settings = {"algorithm_type": "dpmsolver", "solver_order": order, "final_sigmas_type": "sigma_min", **full}
        yield _peer(f"dpmsolver {order}M", d.DPMSolverMultistepScheduler, settings)
    for (order, variant), data in product(((2, "bh1"), (2, "bh2"), (3, "bh2")), (False, True)):
        settings = {"solver_order": order, "solver_type": variant, "predict_x0": data, **full}
        yield _peer(f"UniPC {order} {variant} {'data' if data else 'noise'}", d.UniPCMultistepScheduler, settings)
    yield _peer("UniPC 3 bh2 data, low-order end", d.UniPCMultistepScheduler, {"solver_order": 3})
    adams = {"predictor_order": 3, "corrector_order": 3, "algorithm_type": "noise_prediction", "tau_func": _no_noise}
    yield _peer("SA-Solver 3 noise", d.SASolverScheduler, {**adams, **full})
    for order in (2, 3, 4):
        yield Peer("diffusers", f"iPNDM {order}", partial(diffusers.run_ipndm, order))


def _peer(name: str, scheduler: Any, settings: dict[str, Any]) -> Peer:
    return Peer("diffusers", name, partial(diffusers.run, scheduler, settings))


def _no_noise(t: Any) -> float:
    return 0.0
