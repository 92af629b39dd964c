"""Faults of the command line's jobs of drawing."""

from __future__ import annotations

from tests.mutations.fault import Fault

TESTS = "tests/cli/test_generate_job.py"

FAULTS = [
    Fault(
        "every-process-the-same-samples",
        "Job.generate",
        "size, first = self.size(number), number * self.chunk",
        "size, first = self.size(number), 0",
        "Each chunk begins with the first sample again, as where every process has one seed.",
        TESTS,
        "samples_of_one_call",
    ),
    Fault(
        "chunks-of-any-model",
        "generate_into",
        'place = folder / f"chunks-{known[:8]}"',
        'place = folder / "chunks-00000000"',
        "A job goes on with the chunks of a model that has been trained further since.",
        TESTS,
        "other_weights",
    ),
    Fault(
        "half-a-chunk-taken-for-one",
        "_stored",
        "if len(x) == job.size(number) else None",
        "if len(x) else None",
        "The last chunk of a smaller job taken for a whole one.",
        TESTS,
        "smaller_job",
    ),
]
