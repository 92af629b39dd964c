"""Faults in streams and in conditions of several parts."""

from __future__ import annotations

from tests.mutations.fault import Fault

SHARD_STREAM, CLASSES = "tests/data/test_shard_stream.py", "tests/conditions/test_classes.py"

FAULTS = [
    Fault(
        "held-out-samples-are-trained-on",
        "OneSide.__iter__",
        "< self.share) is self.held_out",
        "< self.share) in (self.held_out, True)",
        "The part that measures a model is part of what it learns.",
        SHARD_STREAM,
        "no_held_out_one",
    ),
    Fault(
        "a-block-is-begun-anew",
        "ShuffledBlocks.load_state_dict",
        'state["block"], state["taken"]',
        'state["block"], 0',
        "A resumed run sees the first samples of a block twice.",
        SHARD_STREAM,
        "any_position",
    ),
    Fault(
        "a-class-is-dropped-with-the-whole-alone",
        "PartlyDropped.__call__",
        "found[:, where] = drop(found[:, where], rows(share))",
        "pass",
        "A class that is left out in sampling was never left out in training.",
        CLASSES,
        "dropped_on_its_own",
    ),
    Fault(
        "examples-are-the-first-ones",
        "Census.of",
        "(-place, -number, item)",
        "(-number, -place, item)",
        "The mean and the deviation are those of the first shards.",
        SHARD_STREAM,
        "moments_are_those",
    ),
    Fault(
        "a-worker-shares-out-an-iterable",
        "reading:as_if_alone",
        "torch.utils.data._utils.worker._worker_info = None",
        "pass",
        "A data set that asks torch which worker it is in gives a part of its samples.",
        "tests/data/test_stream.py",
        "workers_change_no_bit",
    ),
]
