"""Faults of guidance and of the exact laws that it is held against."""

from __future__ import annotations

from tests.mutations.fault import Fault

GUIDANCE = "tests/guidance/test_guidance.py"

FAULTS = [
    Fault(
        "guidance-of-one-more",
        "ClassifierFree.forward",
        "axpy(unwanted, self.weight, wanted - unwanted)",
        "axpy(unwanted, 1 + self.weight, wanted - unwanted)",
        "Two conventions of the weight: 1 + w for w, as denoising-diffusion-pytorch#195 and threestudio#289 met it.",
        GUIDANCE,
        "classifiers_gradient",
    ),
    Fault(
        "the-null-is-never-used",
        "null_of",
        "{name: no_condition(torch.as_tensor(value)) for name, value in condition.items()}",
        "dict(condition)",
        "The zeroed label is made and the true one passed (DiffGui#5): guidance does nothing.",
        GUIDANCE,
        "classifiers_gradient",
    ),
    Fault(
        "the-doubled-batch-in-the-other-order",
        "both",
        "answer[:n], answer[n:]",
        "answer[n:], answer[:n]",
        "Conditional and unconditional answers exchanged: guidance away from the class.",
        GUIDANCE,
        "classifiers_gradient",
    ),
    Fault(
        "classifier-guidance-without-the-signal",
        "ClassifierGuidance.forward",
        "self.weight * sigma**2 / alpha",
        "self.weight * sigma**2",
        "The gradient of the classifier is added to the data's estimate as if alpha were 1.",
        GUIDANCE,
        "classifiers_gradient",
    ),
    Fault(
        "a-deviation-over-the-batch",
        "ClassifierFree._rescaled",
        "one.flatten(1).std(1, correction=0)",
        "one.std(correction=0).expand(len(one))",
        "One deviation for all samples: a sample depends on its neighbours.",
        GUIDANCE,
        "rescaled",
    ),
    Fault(
        "projected-on-the-difference-itself",
        "Projected.forward",
        "_along(difference, wanted)",
        "_along(wanted, difference)",
        "The part of D_c along the difference is taken for that of the difference along D_c.",
        GUIDANCE,
        "keeps_what_is_across",
    ),
    Fault(
        "a-ramp-in-the-level-itself",
        "Ramped.weight_at",
        "torch.log(self.start / torch.as_tensor(level, dtype=torch.float64)) / math.log(self.start / self.end)",
        "(self.start - torch.as_tensor(level, dtype=torch.float64)) / (self.start - self.end)",
        "The weight grows with the level in place of its logarithm: nearly w already at the level of the data.",
        GUIDANCE,
        "log_linear",
    ),
    Fault(
        "summed-scores-without-the-noise",
        "SumOfScores.forward",
        "(1 - sum(self.weights)) * x_t",
        "0 * x_t",
        "The estimates are summed where the scores should be: right only for weights that sum to 1.",
        GUIDANCE,
        "sum_of_scores",
    ),
    Fault(
        "a-mixture-without-its-densities",
        "MixtureOfDenoisers.forward",
        "logs + logs.new_tensor(self.log_weights).unsqueeze(1)",
        "0 * logs + logs.new_tensor(self.log_weights).unsqueeze(1)",
        "The answers are averaged with the weights of the data at every point.",
        GUIDANCE,
        "sum_of_scores",
    ),
    Fault(
        "a-tilt-of-one-too-much",
        "MixtureOfClasses.tilted",
        "(weight - 1) * self.log_class",
        "weight * self.log_class",
        "Rejection with p(c | x)^w: the law of weight w + 1.",
        GUIDANCE,
        "tilted_density",
    ),
]
