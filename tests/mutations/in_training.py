"""Faults of objectives, training and metrics."""

from __future__ import annotations

from tests.mutations.fault import Fault

WEIGHTING, DENOISING = "tests/objectives/test_weighting.py", "tests/objectives/test_denoising.py"
EMA, RESUME, LOOP = (f"tests/training/test_{name}.py" for name in ("ema", "resume", "train_loop"))
FRECHET, TRANSPORT = "tests/metrics/test_metrics_frechet.py", "tests/metrics/test_metrics_transport.py"

OBJECTIVES = [
    Fault(
        "noise-to-signal",
        "sde_diffusion/objectives/weighting.py",
        "torch.exp(torch.as_tensor(sde.log_snr(t)))",
        "torch.exp(-torch.as_tensor(sde.log_snr(t)))",
        "1/SNR for SNR: the weights grow where they should fall.",
        WEIGHTING,
        "simple_is_the_error",
    ),
    Fault(
        "likelihood-weight-with-g",
        "sde_diffusion/objectives/weighting.py",
        "sde.g(t) ** 2 / sde.sigma(t) ** 2",
        "sde.g(t) / sde.sigma(t) ** 2",
        "g for g^2: the loss no longer bounds the likelihood.",
        WEIGHTING,
        "likelihood_is_the_error",
    ),
    Fault(
        "min-snr-is-max-snr",
        "sde_diffusion/objectives/weighting.py",
        "clamp(max=self.gamma)",
        "clamp(min=self.gamma)",
        "The clip on the wrong side.",
        WEIGHTING,
        "min_snr_is",
    ),
    Fault(
        "edm-weight-of-one-sigma",
        "sde_diffusion/objectives/weighting.py",
        "1 / self.data_std**2",
        "1 / self.data_std",
        "1/c_out^2 with one square too few.",
        WEIGHTING,
        "edm_is_the_error",
    ),
    Fault(
        "levels-at-half-the-log-snr",
        "sde_diffusion/objectives/weighting.py",
        "sde.time(-2 * level)",
        "sde.time(-level)",
        "log(sigma/alpha) taken for the log-SNR: EDM's P_mean and P_std of another quantity.",
        WEIGHTING,
        "levels_are_normal",
    ),
    Fault(
        "times-in-order",
        "sde_diffusion/objectives/uniforms.py",
        "torch.randperm(x0.shape[0], generator=generator, device=x0.device)",
        "torch.arange(x0.shape[0], device=x0.device)",
        "Stratified times that are not shuffled: the first samples of every batch are always seen with little noise.",
        DENOISING,
        "every_place",
    ),
    Fault(
        "times-in-the-middle",
        "sde_diffusion/objectives/uniforms.py",
        "(_order(x0, generator) + independent(x0, generator)) / x0.shape[0]",
        "(_order(x0, generator) + independent(x0, generator) / 2) / x0.shape[0]",
        "Each time is drawn from the lower half of its share: the ends of the process are never seen.",
        DENOISING,
        "every_place or integral_over_time",
    ),
    Fault(
        "target-scaled-by-alpha",
        "sde_diffusion/objectives/denoising.py",
        "denoiser(kernel.perturb(x0, noise), kernel, **condition) - x0",
        "denoiser(kernel.perturb(x0, noise), kernel, **condition) - kernel.mean(x0)",
        "The target is alpha x0: the network learns to return the data scaled.",
        DENOISING,
        "minimum_is_the_posterior",
    ),
    Fault(
        "noise-of-the-global-generator",
        "sde_diffusion/objectives/denoising.py",
        "torch.randn(x0.shape, generator=generator, device",
        "torch.randn(x0.shape, device",
        "The noise of the loss is drawn from the global generator: a run is repeated by luck.",
        DENOISING,
        "generator_decides",
    ),
]

TRAINING = [
    Fault(
        "the-average-forgets-at-once",
        "sde_diffusion/training/ema.py",
        "1 - self._kept())",
        "self._kept())",
        "decay for 1 - decay: the average follows the last weights.",
        EMA,
        "closed_form or averaged_model",
    ),
    Fault(
        "the-average-counts-from-one",
        "sde_diffusion/training/ema.py",
        "(1 + self.count) / (10 + self.count)",
        "(2 + self.count) / (11 + self.count)",
        "The warm-up runs one update ahead.",
        EMA,
        "closed_form",
    ),
    Fault(
        "the-average-is-lost-on-resume",
        "sde_diffusion/training/state.py",
        "fill(self.ema.model, checkpoint.ema, source)",
        "fill(self.ema.model, checkpoint.model, source)",
        "A resumed run averages from its last weights on: the average of all steps before is gone.",
        RESUME,
        "closed_after_any_step and 4",
    ),
    Fault(
        "the-warm-up-begins-again-on-resume",
        "sde_diffusion/training/state.py",
        'self.ema.count = checkpoint.state["averaged"]',
        'self.ema.count = 0 * checkpoint.state["averaged"]',
        "The counter of the average is not restored: its decay starts from 1/10 once more.",
        RESUME,
        "closed_after_any_step and 4",
    ),
    Fault(
        "every-step-sees-one-noise",
        "sde_diffusion/training/loop.py",
        "word(self.settings.seed, self.state.step)",
        "word(self.settings.seed, 0)",
        "The generator is seeded alike at every step: the network sees as many noises as a batch holds.",
        LOOP,
        "new_noise",
    ),
    Fault(
        "an-epoch-forgets-its-border",
        "sde_diffusion/data/order.py",
        "range(start // n, (stop - 1) // n + 1)",
        "range(start // n, start // n + 1)",
        "A batch across two epochs is cut short: the last samples come alone.",
        "tests/data/test_data_order.py",
        "across_borders",
    ),
    Fault(
        "the-rise-starts-at-zero",
        "sde_diffusion/training/schedule.py",
        "(step + 1) / settings.warmup",
        "step / settings.warmup",
        "Step k counted from zero: the first update moves nothing.",
        LOOP,
        "learning_rate_rises",
    ),
    Fault(
        "a-checkpoint-is-trusted",
        "sde_diffusion/training/checkpoint.py",
        "    verify(path)\n    return Checkpoint(",
        "    return Checkpoint(",
        "What is read is not verified: a flipped bit becomes a weight.",
        "tests/training/test_checkpoint_readers.py",
        "damaged_checkpoint_is_not_read",
    ),
]

METRICS = [
    Fault(
        "frechet-with-one-overlap",
        "sde_diffusion/metrics/frechet.py",
        "spread - 2 * overlap",
        "spread - overlap",
        "The cross term counted once: the distance of a set from itself is its variance.",
        FRECHET,
        "two_dimensions_in_closed_form",
    ),
    Fault(
        "frechet-without-its-root",
        "sde_diffusion/metrics/frechet.py",
        "torch.where(values > noise, values, 0).sqrt()",
        "torch.where(values > noise, values, 0)",
        "C for its square root in tr (C1^1/2 C2 C1^1/2)^1/2.",
        FRECHET,
        "two_dimensions_in_closed_form",
    ),
    Fault(
        "energy-distance-of-a-sample-to-itself",
        "sde_diffusion/metrics/energy.py",
        "_sum_of_distances(x, x, chunk) / (n * (n - 1))",
        "_sum_of_distances(x, x, chunk) / (n * n)",
        "The zeros of the diagonal are counted: a bias of 1/N.",
        TRANSPORT,
        "energy_distance",
    ),
    Fault(
        "mean-of-roots-for-root-of-mean",
        "sde_diffusion/metrics/sliced_wasserstein.py",
        ".mean().sqrt())",
        ".sqrt().mean())",
        "An average of distances in the place of the root of the average square.",
        TRANSPORT,
        "shift or scaled or mean_square",
    ),
]

FAULTS = [*OBJECTIVES, *TRAINING, *METRICS]
