"""Faults of reversals and of sampling."""

from __future__ import annotations

from tests.mutations.fault import Fault

MOMENTS, FLOW, LANDING = (f"tests/reversal/test_{name}.py" for name in ("exact_moments", "flow_map", "landing"))
SAMPLING = "tests/test_sampling.py"

REVERSALS = [
    Fault(
        "flow-with-the-score-of-the-sde",
        "sde_diffusion/reversal/probability_flow.py",
        "sde.reverse_drift(model, x, t, 0.5)",
        "sde.reverse_drift(model, x, t, 1.0)",
        "The half of the probability flow is lost: g^2 score in the place of g^2/2 score.",
        FLOW,
        "test_flow_map and probability_flow and VP and Heun and not SubVP",
    ),
    Fault(
        "eta-is-not-squared",
        "sde_diffusion/reversal/reverse_sde.py",
        "weight = (1 + eta**2) / 2",
        "weight = (1 + eta) / 2",
        "The drift that goes with another noise: right for eta = 0 and 1 only, the two that are usually tried.",
        MOMENTS,
        "law_is_reached and reverse_sde and VP and EulerMaruyama and not SubVP",
    ),
    Fault(
        "gain-without-its-square",
        "sde_diffusion/sde/base.py",
        "weight * (self.g(t) / kernel.sigma) ** 2",
        "weight * self.g(t) ** 2 / kernel.sigma",
        "The score divided by sigma in the place of sigma^2: noise taken for score.",
        FLOW,
        "test_flow_map and probability_flow and VP and Heun and not SubVP",
    ),
    Fault(
        "nonlinear-drift-with-g",
        "sde_diffusion/sde/base.py",
        "-weight * self.diffusion(t) ** 2, self.score",
        "-weight * self.diffusion(t), self.score",
        "g in the place of g^2 beside the score, in the branch for processes without kernels.",
        LANDING,
        "users_nonlinear_process",
    ),
    Fault(
        "langevin-without-the-root-of-two",
        "sde_diffusion/reversal/annealed_langevin.py",
        "math.sqrt(2 * relaxations)",
        "math.sqrt(relaxations)",
        "Langevin dynamics at half the temperature: sharp samples of the wrong law.",
        MOMENTS,
        "annealed_langevin and VP and not SubVP",
    ),
    Fault(
        "ancestral-variance-of-the-other-level",
        "sde_diffusion/reversal/ancestral.py",
        "eta * sde.sigma(s) * sqrt",
        "eta * sde.sigma(t) * sqrt",
        "DDIM's sigma_t for sigma_s: beta in the place of beta-tilde, by an index; the order stays what it was.",
        "tests/reversal/test_chains.py",
        "every_ddim and VP",
    ),
    Fault(
        "ddim-keeps-all-the-noise",
        "sde_diffusion/reversal/ancestral.py",
        "sqrt(1 - eta**2 * _forgotten(sde, t, s))",
        "sqrt(1 - eta * _forgotten(sde, t, s))",
        "sqrt(sigma_s^2 - v) with a v that is not the variance of the noise added: a DDIM of order zero.",
        MOMENTS,
        "law_is_reached and ddim and VP and not SubVP",
    ),
    Fault(
        "convolution-at-the-wrong-level",
        "sde_diffusion/reversal/data_form.py",
        "return exp(s) * sqrt(",
        "return exp(t) * sqrt(",
        "SDE-DPM-Solver++ with the noise of the level it leaves.",
        MOMENTS,
        "law_is_reached and data_form and VP and not SubVP",
    ),
    Fault(
        "convolution-with-eta-not-squared",
        "sde_diffusion/reversal/data_form.py",
        "expm1(2 * eta**2 * (s - t))",
        "expm1(2 * eta * (s - t))",
        "Noise and drift of different stochasticities.",
        MOMENTS,
        "law_is_reached and data_form and VP and not SubVP",
    ),
    Fault(
        "deviations-are-added",
        "sde_diffusion/reversal/churned.py",
        "sqrt((up - kappa) * (up + kappa))",
        "up - kappa",
        "Churn from kappa up to kappa' with noise of deviation kappa' - kappa: variances add, deviations do not.",
        MOMENTS,
        "law_is_reached and Churn and VP and not SubVP",
    ),
    Fault(
        "noise-form-in-the-units-of-the-data",
        "sde_diffusion/reversal/noise_form.py",
        "noise_clock(sde), sde.sigma)",
        "noise_clock(sde), sde.alpha)",
        "x/alpha handed to an equation of x/sigma.",
        FLOW,
        "test_flow_map and noise_form and VP and not SubVP",
    ),
    Fault(
        "decode-encodes-again",
        "sde_diffusion/reversal/base.py",
        "decode=lambda y, reading: scale(unit(",
        "decode=lambda y, reading: scale(1 / unit(",
        "The chart is left by the way that led into it.",
        FLOW,
        "test_flow_map and data_form and VP and not SubVP",
    ),
    Fault(
        "noise-on-the-last-step",
        "sde_diffusion/reversal/base.py",
        "return denoise_at(sde, model) if isinstance(sde, LinearSDE) else keep",
        "return keep",
        "Samplers end on x and not on its mean: the noise of t_min stays in the picture.",
        LANDING,
        "finish_returns_the_mean",
    ),
    Fault(
        "the-finish-is-not-called",
        "sde_diffusion/sampling.py",
        "return reversal.finish(reversal.decode(y, reversal.stop), reversal.stop)",
        "return reversal.decode(y, reversal.stop)",
        "The last denoising step is prepared and never taken.",
        LANDING,
        "finish_returns_the_mean",
    ),
    Fault(
        "levels-are-not-evenly-spaced",
        "sde_diffusion/reversal/base.py",
        "clock.spacing(through(level.read, level.time, spacing))",
        "clock.spacing(spacing)",
        "A grid said to be even in log-SNR is even in time: few of its steps are where the data are.",
        "tests/reversal/test_clocks.py",
        "laid_out_in_log_snr",
    ),
]

SAMPLES = [
    Fault(
        "the-start-follows-the-place-in-the-batch",
        "sde_diffusion/sampling.py",
        "_PRIOR_STREAM), spec.indices)",
        "_PRIOR_STREAM), torch.arange(len(spec.indices)))",
        "The initial noise belongs to the position: the same seed gives another image in another batch.",
        SAMPLING,
        "bit_identical and flow",
    ),
    Fault(
        "the-start-ignores-the-seed",
        "sde_diffusion/sampling.py",
        "mix(mix(0, spec.seed), _PRIOR_STREAM)",
        "mix(mix(0, 0), _PRIOR_STREAM)",
        "All seeds start from the same noise: a deterministic sampler has one answer.",
        SAMPLING,
        "bit_identical and flow",
    ),
    Fault(
        "chunks-begin-where-the-samples-do",
        "sde_diffusion/sampling.py",
        "yield whole[max(first - begin, 0) : last - begin]",
        "yield whole[: last - begin]",
        "The samples before the first are returned with it.",
        SAMPLING,
        "bit_identical_whatever_the_number and flow",
    ),
    Fault(
        "the-start-and-the-path-share-their-noise",
        "sde_diffusion/sampling.py",
        "    keys = mix(",
        "    w = WienerTree(spec).increment(spec.stop, spec.start)\n"
        "    return reversal.prior.from_noise(w / abs(spec.start - spec.stop) ** 0.5)\n"
        "    keys = mix(",
        "The initial state is the path's own end: it is correlated with every increment.",
        SAMPLING,
        "prior_and_the_path_of_a_sample_are_independent",
    ),
]

FAULTS = [*REVERSALS, *SAMPLES]
