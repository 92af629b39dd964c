"""Faults of runs of which each process holds a share."""

from __future__ import annotations

from tests.mutations.fault import Fault

FIRST, SHARES = "tests/training/test_first_weights.py", "tests/faults/test_shares.py"

FAULTS = [
    Fault(
        "first-weights-of-the-last-seed",
        "FirstWeights.write",
        "torch.manual_seed(self._seed)",
        "torch.manual_seed(torch.initial_seed())",
        "Each process draws first weights of its own: shares of different networks.",
        FIRST,
        "usual_constructor",
    ),
    Fault(
        "first-weights-all-at-once",
        "FirstWeights.write",
        "ended[key] == number",
        "number == len(self._calls) - 1",
        "Each process holds the whole network before it has its share.",
        FIRST,
        "one_layer_is",
    ),
    Fault(
        "first-weights-after-the-first-operation",
        "FirstWeights.write",
        "ended |= {_memory(leaf): number for leaf in _tensors(call)}",
        "ended = {_memory(leaf): number for leaf in _tensors(call)} | ended",
        "A layer that is set to zero after it was drawn begins as it was drawn.",
        FIRST,
        "usual_constructor",
    ),
    Fault(
        "shares-put-together-in-one-place",
        "Opened.whole",
        "slice(begin, begin + size)",
        "slice(0, size)",
        "The rows of all processes lie over those of the first one in the file that others read.",
        SHARES,
        "put_together",
    ),
    Fault(
        "shares-are-not-verified",
        "shares:latest",
        "manifest.newest_whole(folder, verify)",
        "manifest.newest_whole(folder, str)",
        "A damaged share is read as weights.",
        SHARES,
        "every_damage",
    ),
    Fault(
        "a-file-beside-the-shares",
        "shares:verify",
        "if strangers or len(names) < 2:",
        "if len(names) < 2:",
        "A pickle lies where torch.distributed.checkpoint looks for its metadata.",
        SHARES,
        "no_pickle",
    ),
]
