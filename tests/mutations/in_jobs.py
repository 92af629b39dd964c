"""Faults of the command line's jobs of drawing, and of what is looked at where something comes in or leaves."""

from __future__ import annotations

from tests.mutations.fault import Fault

TESTS = "tests/cli/test_generate_job.py"
NOT_FINITE, IN_PLACE = "tests/faults/test_not_finite_results.py", "tests/sampling/test_in_place.py"
PICTURES = "tests/data/test_picture_files.py"

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
    Fault(
        "samples-nobody-looks-at",
        "sample_chunks",
        'finite_rows(job.run(indices, rows)[wanted[0] - indices[0] :][: len(wanted)], "samples", wanted[0])',
        "job.run(indices, rows)[wanted[0] - indices[0] :][: len(wanted)]",
        "NaN is written as samples, with exit code 0.",
        NOT_FINITE,
        "samples_are_looked_at",
    ),
    Fault(
        "weights-nobody-looks-at",
        "load_average",
        "refuse_weights_not_finite(weights, Path(path) / _EMA)",
        "pass",
        "A checkpoint of NaN is read, and whatever follows is NaN.",
        NOT_FINITE,
        "when_they_are_read and export",
    ),
    Fault(
        "shared-weights-nobody-looks-at",
        "_filled",
        "refuse_weights_not_finite(network.state_dict(), path)",
        "pass",
        "Weights that are infinite in the network's dtype are taken.",
        NOT_FINITE,
        "shared_weights",
    ),
    Fault(
        "nan-log-probabilities",
        "LogProb.__post_init__",
        "if not bool(known.all()):",
        "if False:",
        "A likelihood of NaN is reported as null.",
        NOT_FINITE,
        "log_probabilities",
    ),
    Fault(
        "a-model-may-write-into-the-state",
        "call_unwritten",
        "if _writes(x, condition) != before:",
        "if False:",
        "x.mul_ in a model's forward pass changes the samples without a word.",
        IN_PLACE,
        "every_form",
    ),
    Fault(
        "a-model-may-write-into-its-labels",
        "_writes",
        "sum(map(_version, (x, *condition.values()))) if condition else _version(x)",
        "_version(x)",
        "Labels move from call to call.",
        IN_PLACE,
        "into_a_condition",
    ),
    Fault(
        "a-function-is-not-looked-at",
        "checked.__init__",
        "partial(call_unwritten, self.model)",
        "self.model",
        "A denoiser that is a function may write into the state.",
        IN_PLACE,
        "function_is_looked_at",
    ),
    Fault(
        "a-picture-that-is-a-pipe",
        "read_picture",
        "if not Path(path).is_file():",
        "if False:",
        "The reader waits for somebody who writes into the pipe; a link to nothing names no file.",
        PICTURES,
        "link_to_nothing",
    ),
    Fault(
        "pictures-of-any-format",
        "read_picture",
        "reader.open(path, formats=FORMATS)",
        "reader.open(path)",
        "PIL's reader of EPS starts a program on a file of anybody.",
        PICTURES,
        "program",
    ),
]
