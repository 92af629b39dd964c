"""Every command that leaves results, with the least that it can do, and the files that it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.cli.conftest import TINY

CPU = ["--device", "cpu"]


class Command(NamedTuple):
    """Words, RUN and OUT in them the folder of a run with snapshots and a new one; and the files that appear in OUT."""

    words: list[str]
    files: list[str]
    code: int = 0

    def arguments(self, run: Path, out: Path) -> list[str]:
        """The words with both folders in them."""
        return [word.replace("RUN", str(run)).replace("OUT", str(out)) for word in self.words]


def _results(words: list[str], *files: str) -> Command:
    return Command([*words, "--output", "OUT"], [*files, "made.json"])


SHARED = ["model.safetensors", "config.json", "README.md"]
COMMANDS = {
    "compare a law": _results(["compare", "--law", "two", "--samplers", "ancestral", "--budgets", "4", "--count", "16"],
                              "comparison.json", "comparison.md", "comparison.png"),
    "compare a run": _results(["compare", "RUN", "--samplers", "data_adams", "--budgets", "2", *CPU],
                              "comparison.json", "comparison.md", "comparison.png"),
    "evaluate": _results(["evaluate", "RUN", "--steps", "2", "--extractor", "pixels", *CPU],
                         "evaluation.json", "evaluation.md", "evaluation.png"),
    "likelihood": _results(["likelihood", "RUN", "--count", "2", "--steps", "2", "--paths", "2", "--tol", "0.5", *CPU],
                           "likelihood.json", "likelihood.png"),
    "anomalies": _results(["anomalies", "RUN", "--count", "12", "--tol", "1.0", *CPU],
                          "anomalies.json", "anomalies.png"),
    "average --sweep": _results(["average", "RUN", "--sweep", "0.05", "0.1", "--draws", "1", *CPU],
                                "lengths.json", "lengths.png"),
    "average": Command(["average", "RUN", "--sigma_rel", "0.07", "--output", "OUT"], SHARED),
    "animate": _results(["animate", "--frames", "4", "--points", "9"], "diffusion.gif", "diffusion.png"),
    "sample": _results(["sample", "RUN", "--steps", "2", "--count", "4", *CPU],
                       "samples.safetensors", "samples.png", "samples.json"),
    "tune": Command(["tune", "RUN", "--nfe", "2", "--iterations", "1", "--trajectories", "8", "--reference", "8",
                     "--out", "OUT/tuned.json", *CPU], ["tuned.json"]),
    "export": Command(["export", "RUN", "OUT"], SHARED),
    "check": Command(["check", "sde_diffusion.sde.vp:VP", "--json", "OUT/report.json"], ["report.json"]),
    "train": Command(["train", *TINY, "--training.steps", "2", "--output", "OUT"],
                     ["config.json", "versions.json", "model.json", "metrics.jsonl"]),
}  # fmt: skip
NEEDS_FOLDER = ("tune", "check")
