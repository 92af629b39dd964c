"""What each of two processes holds of a network that none of them builds whole: `torchrun ... half_a_network.py FOLDER`."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import torch
from torch import Tensor

from sde_diffusion.denoisers import Preconditioned
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.sharing.run import seeded
from sde_diffusion.training import ComputeSettings, TrainSettings, join_process_group, train
from sde_diffusion.training.distributed.first_weights import deferred


def alive(kind: type = Tensor) -> int:
    """Bytes of the memory of all real tensors that live, each once."""
    gc.collect()
    found = {}
    for one in gc.get_objects():
        if issubclass(type(one), kind):
            memory = (one._local_tensor if hasattr(one, "_local_tensor") else one).untyped_storage()
            found[memory._cdata] = memory.nbytes() if memory.device.type == "cpu" else 0
    return sum(found.values())


def main() -> None:
    torch.set_num_threads(1)
    told = {}
    with join_process_group(torch.device("cpu"), 60.0) as world:
        for name, build in (("all", deferred), ("usual", seeded)):
            before = alive()
            model = Preconditioned(build(7, lambda: TimeMLP(2, width=64, depth=6)), EDMPreconditioning(1.0))
            settings = TrainSettings(steps=2, batch_size=4, gradient_accumulation=2, log_every=1)
            compute, data = ComputeSettings(engine="sharded"), torch.ones(8, 2) * torch.tensor([1.0, -1.0])
            reports = train(model, VP(), data, settings, compute=compute, world=world, device="cpu")
            if name == "all":
                told["weights"] = alive(torch.nn.Parameter)
            next(reports)
            told[name] = alive() - before
            list(reports)
            del model, reports
        (Path(sys.argv[1]) / f"rank-{world.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
