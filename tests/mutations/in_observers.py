"""Faults of what is seen of a model while it trains."""

from __future__ import annotations

from tests.mutations.fault import Fault

OBSERVING = "tests/training/test_observing.py"
HELD_OUT, LEVELS, PICTURES, BOARD = (
    f"tests/callbacks/test_watching_{name}.py" for name in ("held_out", "levels", "pictures", "tensorboard")
)

FAULTS = [
    Fault(
        "look-at-the-last-weights",
        "sde_diffusion/training/callbacks.py",
        """        if not any(hasattr(value, "full_tensor") for value in averages.values()):
            return self.ema.model
""",
        """        if not any(hasattr(value, "full_tensor") for value in averages.values()):
            return self.ema.source
""",
        "The model in training is shown for its average: noisier, and in train mode.",
        OBSERVING,
        "what_is_shown",
    ),
    Fault(
        "look-leaves-gradients",
        "sde_diffusion/training/callbacks.py",
        "model.requires_grad_(False)",
        "model.requires_grad_(True)",
        "Observers build graphs, and one that differentiates leaves gradients in the average.",
        OBSERVING,
        "same_to_the_last_bit or what_is_shown",
    ),
    Fault(
        "look-draws-from-the-caller",
        "sde_diffusion/training/callbacks.py",
        "with seeded_generators(self.device):",
        "with torch.enable_grad():",
        "An observer that draws changes what the caller draws next.",
        OBSERVING,
        "same_to_the_last_bit",
    ),
    Fault(
        "report-before-is-this-one",
        "sde_diffusion/training/callbacks.py",
        "(step - 1) // log_every * log_every",
        "step // log_every * log_every",
        "A moment that falls on a report is missed.",
        OBSERVING,
        "moments_are_a_function",
    ),
    Fault(
        "doubling-one-too-late",
        "sde_diffusion/training/triggers.py",
        ".bit_length() - 1 if",
        ".bit_length() if",
        "The last doubling is taken for the next: every report up to it is a look.",
        OBSERVING,
        "moments_are_a_function",
    ),
    Fault(
        "a-warning-at-every-look",
        "sde_diffusion/training/callbacks.py",
        "self.warned.add(name)",
        "self.warned.discard(name)",
        "A full disk fills the terminal as well.",
        OBSERVING,
        "one_warning",
    ),
    Fault(
        "every-process-looks",
        "sde_diffusion/training/callbacks.py",
        """            if not self.world.is_main:
                return {}
""",
        """            if self.world.size > 8:
                return {}
""",
        "All processes write the same files at once.",
        OBSERVING,
        "only_the_leading",
    ),
    Fault(
        "bar-begins-at-zero",
        "sde_diffusion/training/fitting.py",
        "self.bar.initial = self.bar.n = self.bar.last_print_n = step",
        "self.bar.initial = step",
        "A resumed run is thought to have done all its steps just now, and to end at once.",
        OBSERVING,
        "resumed_run_begins",
    ),
    Fault(
        "held-out-passes-repeat",
        "sde_diffusion/callbacks/held_out.py",
        "number * self.parts + part",
        "part",
        "All passes draw the same noise: four times the cost, and nothing for it.",
        HELD_OUT,
        "stratified_times",
    ),
    Fault(
        "held-out-error-of-one-event",
        "sde_diffusion/callbacks/held_out.py",
        "float(losses.std()) / math.sqrt(self.count)",
        "float(losses.std())",
        "The deviation of an event for the standard error of the mean.",
        HELD_OUT,
        "independent_events",
    ),
    Fault(
        "held-out-error-of-all-answers",
        "sde_diffusion/callbacks/held_out.py",
        "math.sqrt(self.count)",
        "math.sqrt(self.count * PASSES)",
        "An event asked about four times counts as four events: the error is half of what it is.",
        HELD_OUT,
        "independent_events",
    ),
    Fault(
        "held-out-of-the-training-noise",
        "sde_diffusion/callbacks/held_out.py",
        "generator = generators(step_seed(self.seed ^ _OWN,",
        "generator = generators(step_seed(_OWN,",
        "The questions do not depend on the seed: seeds share the error of one draw.",
        HELD_OUT,
        "asks_the_same",
    ),
    Fault(
        "wiener-of-the-amplitude",
        "sde_diffusion/callbacks/spectrum.py",
        "(1 + snr[:, None, None] * variances)",
        "(1 + snr[:, None, None].sqrt() * variances)",
        "alpha/sigma taken for the SNR in the filter's gain.",
        LEVELS,
        "gaussian_data",
    ),
    Fault(
        "levels-summed-over-coordinates",
        "sde_diffusion/callbacks/levels.py",
        "error.double().square().flatten(1).mean(1)",
        "error.double().square().flatten(1).sum(1)",
        "The error of an event beside bounds for a coordinate.",
        LEVELS,
        "best_curve or simple_denoisers",
    ),
    Fault(
        "levels-look-twice",
        "sde_diffusion/callbacks/levels.py",
        'one["step"] < step',
        'one["step"] <= step',
        "A look that a resumed run makes again is there twice.",
        LEVELS,
        "keeps_all_looks",
    ),
    Fault(
        "pictures-from-a-prior-at-zero",
        "sde_diffusion/model.py",
        "self.sde.prior(self.mean, self.std**2)",
        "self.sde.prior(0.0, self.std**2)",
        "Samples of a process that does not forget begin at the wrong place.",
        PICTURES,
        "law_of_the_model",
    ),
    Fault(
        "film-of-the-future",
        "sde_diffusion/callbacks/pictures.py",
        "if number <= step",
        "if number > 0",
        "Pictures that a killed run left behind, of steps that are still to come, get into the film.",
        PICTURES,
        "the_film_all_pictures",
    ),
    Fault(
        "tensorboard-forgets-nothing",
        "sde_diffusion/callbacks/tensorboard.py",
        "purge_step=context.step",
        "purge_step=None",
        "A run that goes on leaves steps twice and out of order.",
        BOARD,
        "no_step_twice",
    ),
]
