"""Faults of networks and of what is shared of them."""

from __future__ import annotations

from tests.mutations.fault import Fault

ATTENTION, LARGE, COST, FOREIGN = (
    f"tests/networks/test_{name}.py" for name in ("attention", "networks_large", "networks_cost", "networks_foreign")
)
PRETRAINED, HOSTILE, DIFFUSERS, HUB = (
    f"tests/sharing/test_sharing_{name}.py" for name in ("pretrained", "hostile", "diffusers", "hub")
)

NETWORKS = [
    Fault(
        "fused-attention-always",
        "attend",
        "if transformed():",
        "if False:",
        "The fused kernels under torch.func: no forward derivative, no second one.",
        ATTENTION,
        "forward_derivatives",
    ),
    Fault(
        "keys-for-values",
        "HeadedAttention.forward",
        "query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)",
        "query, value, key = split.permute(2, 0, 3, 1, 4).unbind(0)",
        "Keys and values exchanged: every shape fits.",
        ATTENTION,
        "heads_are",
    ),
    Fault(
        "modulation-of-the-next-sample",
        "modulated",
        "weight.flatten(), bias.flatten(), norm.eps)",
        "weight.mT.flatten(), bias.mT.flatten(), norm.eps)",
        "Samples and channels folded in the wrong order.",
        LARGE,
        "modulation_inside",
    ),
    Fault(
        "modulation-without-one",
        "modulated",
        "norm(x), 1 + gain.reshape(shape))",
        "norm(x), gain.reshape(shape))",
        "The gain for 1 + gain, only where memory is not contiguous.",
        LARGE,
        "modulation_inside",
    ),
    Fault(
        "sum-for-mean",
        "Halve.forward",
        "return _AVERAGES[x.ndim - 2](x, 2)",
        "return 2 * _AVERAGES[x.ndim - 2](x, 2)",
        "Halving doubles the values.",
        LARGE,
        "resampling_is",
    ),
    Fault(
        "checkpoint-forgets-the-dropout",
        "Backbone.through",
        "use_reentrant=False)",
        "use_reentrant=False, preserve_rng_state=False)",
        "The block computed again draws another dropout: the gradient is another function's.",
        LARGE,
        "checkpoints_keep_less",
    ),
    Fault(
        "patches-of-another-order",
        "DiT._patches",
        "range(2, split.ndim, 2), 1, *last)",
        "range(2, split.ndim, 2), *last, 1)",
        "Channels last within a patch on the way in, first on the way out.",
        LARGE,
        "patches_are",
    ),
    Fault(
        "timestep-one-late",
        "ChainTimestep.forward",
        "(above - 1 + (c - low)",
        "(above + (c - low)",
        "A foreign network is told the next step's number.",
        FOREIGN,
        "node_is_its_number",
    ),
    Fault(
        "foreign-attention-fused-always",
        "DiffusersBackbone.forward",
        "if transformed() else",
        "if False else",
        "Likelihoods of foreign networks fail.",
        FOREIGN,
        "forward_derivative",
    ),
]
SHARING = [
    Fault(
        "weights-not-loaded",
        "_filled",
        "network.load_state_dict(tensors)",
        "",
        "A shared model that is a new one.",
        PRETRAINED,
        "changes_no_bit",
    ),
    Fault(
        "pickles-pass",
        "check_folder",
        "path.suffix.lower() in PICKLES",
        "path.suffix in PICKLES and False",
        "A folder with a pickle in it is opened.",
        HOSTILE,
        "pickles_are_refused",
    ),
    Fault(
        "layers-without-end",
        "_at_most.counted",
        "if left < 0:",
        "if left < -(10**5):",
        "A description of a million layers is built for minutes.",
        HOSTILE,
        "what_cannot_be",
    ),
    Fault(
        "buffers-without-end",
        "built",
        "> BUFFERS",
        "> 2**100",
        "A table of places of terabytes is allocated.",
        HOSTILE,
        "events_too_large",
    ),
    Fault(
        "velocity-for-noise",
        "MEANINGS",
        '"epsilon": Noise',
        '"epsilon": Velocity',
        "The words of diffusers taken for one another.",
        DIFFUSERS,
        "we_sample_what",
    ),
    Fault(
        "chain-off-by-one",
        "levels",
        "chain.node(k + 1)",
        "chain.node(k + 0.5)",
        "Their step k for half a step before our node.",
        DIFFUSERS,
        "we_sample_what",
    ),
    Fault(
        "secrets-go-up",
        "push_to_hub",
        'allow_patterns=[*PLAIN, "README.md"]',
        'allow_patterns=["*"]',
        "Whatever lies in the folder goes to the Hub.",
        HUB,
        "up_and_down",
    ),
]
PUBLISHED = [
    Fault(
        "attention-rows-as-stored",
        "_by_head",
        "value.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)",
        "value",
        "Published weights of ADM are read with queries, keys and values mixed up.",
        "tests/networks/test_weights_of_others.py",
        "guided_diffusion",
    ),
    Fault(
        "attention-on-every-block-up",
        "_Network.__init__",
        "number == blocks and level in attention",
        "level in attention",
        "The way up of DDPM++ has attention where its authors had none.",
        "tests/networks/test_weights_of_song.py",
        "test_score_sde",
    ),
]
FAULTS = [*NETWORKS, *SHARING, *PUBLISHED]
