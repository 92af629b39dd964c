"""Faults of what a process is: schedules, kernels, posteriors, parameterisations and exact laws."""

from __future__ import annotations

from tests.mutations.fault import Fault

PROCESSES, CHAIN = "tests/sde/test_processes.py", "tests/sde/test_ddpm.py"
DENSITY, MEANINGS = "tests/exact/test_exact_density.py", "tests/test_parameterizations.py"

SCHEDULES = [
    Fault(
        "a-two-in-g",
        "VP.g",
        "return sqrt(self.beta(t))",
        "return sqrt(2 * self.beta(t))",
        "beta taken for beta/2 in the diffusion and not in the drift.",
        PROCESSES,
        "moments_solve",
    ),
    Fault(
        "g-squared-for-g",
        "SubVP.g",
        "return sqrt(-self.beta(t) * expm1(-2 * self.integral(t)))",
        "return -self.beta(t) * expm1(-2 * self.integral(t))",
        "diffusion() returns g^2.",
        PROCESSES,
        "moments_solve",
    ),
    Fault(
        "sub-vp-with-the-exponent-of-vp",
        "SubVP.g",
        "expm1(-2 * self.integral(t))",
        "expm1(-self.integral(t))",
        "The factor 1 - e^{-2B} of sub-VP written as 1 - e^{-B}.",
        PROCESSES,
        "moments_solve",
    ),
    Fault(
        "sigma-squared-for-sigma",
        "VP.sigma",
        "return sqrt(-expm1(-self.integral(t)))",
        "return -expm1(-self.integral(t))",
        "The variance returned where the deviation is asked for: a likelihood of a good library had this.",
        PROCESSES,
        "moments_solve",
    ),
    Fault(
        "one-minus-exp",
        "VP.sigma",
        "sqrt(-expm1(-self.integral(t)))",
        "sqrt(1 - exp(-self.integral(t)))",
        "1 - exp(x) for -expm1(x): no digit is left at t = 1e-12, half of them at 1e-5 in float32.",
        PROCESSES,
        "keeps_its_digits and VP",
    ),
    Fault(
        "the-horizon-is-one",
        "LinearBeta.integral",
        "0.5 * (self.beta_max - self.beta_min) / self.horizon * t**2",
        "0.5 * (self.beta_max - self.beta_min) * t**2",
        "The integral of beta on [0, 1] used on [0, T].",
        PROCESSES,
        "moments_solve",
    ),
    Fault(
        "ve-starts-at-the-data",
        "VE.sigma",
        "self.sigma_min * exp(self._growth * t)",
        "self.sigma_min * (exp(2 * self._growth * t) - 1) ** 0.5",
        "sigma_min^2 left out of the variance of VE: its kernel and its equation start from different laws.",
        PROCESSES,
        "ve_starts_with_noise or moments_solve",
    ),
    Fault(
        "edm-noise-without-the-two",
        "EDM.g",
        "math.sqrt(2) * sqrt(t)",
        "sqrt(t)",
        "d(t^2)/dt = 2 t: the two of the chain rule is lost.",
        PROCESSES,
        "moments_solve",
    ),
    Fault(
        "the-cosine-does-not-stop",
        "DDPM.cosine",
        "min(1 - b / a, clip)",
        "1 - b / a",
        "The cosine table without its clip: the last beta is 1 and divides by zero.",
        CHAIN,
        "cosine_table",
    ),
    Fault(
        "the-chain-is-off-by-one",
        "DDPM.posterior_of_step",
        "beta = self.alpha_bar(i), self.alpha_bar(i - 1), self.betas[i - 1]",
        "beta = self.alpha_bar(i), self.alpha_bar(i - 1), self.betas[i - 2]",
        "Step i of a table that counts from zero: beta of the neighbour.",
        CHAIN,
        "papers_posterior",
    ),
    Fault(
        "the-inverse-of-log-snr-by-half",
        "SubVP.time",
        "2 * asinh(0.5 * exp(-0.5 * log_snr))",
        "asinh(0.5 * exp(-0.5 * log_snr))",
        "B/2 returned for B: grids in log-SNR land at the wrong times.",
        PROCESSES,
        "time_inverts_it",
    ),
]

KERNELS = [
    Fault(
        "tweedie-with-the-other-sign",
        "Kernel.score",
        "combine(-1 / self.sigma**2, x_t, self.alpha / self.sigma**2, x0)",
        "combine(1 / self.sigma**2, x_t, -self.alpha / self.sigma**2, x0)",
        "The score points away from the data.",
        "tests/exact/test_exact_denoise.py",
        "tweedie",
    ),
    Fault(
        "tweedie-without-alpha",
        "Kernel.score",
        "x_t, self.alpha / self.sigma**2, x0)",
        "x_t, 1 / self.sigma**2, x0)",
        "A formula of variance-exploding processes used for all.",
        "tests/exact/test_exact_denoise.py",
        "tweedie",
    ),
    Fault(
        "noise-without-alpha",
        "Kernel.noise",
        "combine(1 / self.sigma, x_t, -self.alpha / self.sigma, x0)",
        "combine(1 / self.sigma, x_t, -1 / self.sigma, x0)",
        "eps_hat = (x - x0)/sigma where the data are scaled by alpha.",
        MEANINGS,
        "agree_on_the_score",
    ),
    Fault(
        "velocity-of-variance-preserving-channels-only",
        "Kernel.data_from_velocity",
        "combine(self.alpha / r**2, x_t, -self.sigma / r, velocity)",
        "combine(self.alpha, x_t, -self.sigma, velocity)",
        "x0 = alpha x - sigma v holds where alpha^2 + sigma^2 = 1 and nowhere else.",
        MEANINGS,
        "decode_inverts_target",
    ),
    Fault(
        "forward-step-with-the-variance",
        "LinearSDE.transition",
        "self.sigma(t) * sqrt(self._forgotten(t, s))",
        "self.sigma(t) * self._forgotten(t, s)",
        "The transition from s to t without its square root.",
        PROCESSES,
        "transitions_compose",
    ),
    Fault(
        "posterior-coefficients-exchanged",
        "LinearSDE.posterior",
        "combine(self.alpha(s) * forgotten, x0, on_x_t, x_t)",
        "combine(on_x_t, x0, self.alpha(s) * forgotten, x_t)",
        "The two weights of DDPM's posterior mean change places.",
        PROCESSES,
        "posterior_is_bayes",
    ),
    Fault(
        "prior-with-the-variance",
        "LinearSDE.prior",
        "float(sqrt(kernel.alpha**2 * variance + kernel.sigma**2))",
        "float(kernel.alpha**2 * variance + kernel.sigma**2)",
        "Sampling starts sigma times too far out: for VE, from 2500 in the place of 50.",
        PROCESSES,
        "prior_has_the_first_two_moments",
    ),
]

PARAMETERIZATIONS = [
    Fault(
        "edm-c-out-without-its-root",
        "EDMPreconditioning._mix",
        "kernel.sigma * d / total",
        "kernel.sigma * d / total**2",
        "c_out = sigma d/(sigma^2 + d^2): table 1 of EDM read without the square root.",
        MEANINGS,
        "decode_inverts_target",
    ),
    Fault(
        "velocity-with-the-other-sign",
        "Velocity.target",
        "noise, -kernel.sigma / r, x0)",
        "noise, kernel.sigma / r, x0)",
        "v = alpha eps + sigma x0.",
        MEANINGS,
        "decode_inverts_target",
    ),
    Fault(
        "network-input-over-its-variance",
        "Parameterization.spread",
        "return sqrt((kernel.alpha * self.data_std) ** 2 + kernel.sigma**2)",
        "return (kernel.alpha * self.data_std) ** 2 + kernel.sigma**2",
        "c_in without its square root: the network sees inputs of another size at every level.",
        MEANINGS,
        "input_has_unit_variance",
    ),
]

EXACT_LAWS = [
    Fault(
        "responsibilities-without-the-determinant",
        "Mixture._joint",
        "(z.square() / variances).sum(-1) + logs",
        "(z.square() / variances).sum(-1) + 0 * logs",
        "Modes weighed by their exponents alone: right only where all have one covariance.",
        DENSITY,
        "any_mixture_agrees_with_torch",
    ),
    Fault(
        "posterior-mean-with-the-wrong-temperature",
        "exponents",
        "(least - distances) / (2 * kappa.square())",
        "(least - distances) / kappa.square()",
        "exp(-d^2/sigma^2): the two of the Gaussian's exponent is lost.",
        DENSITY,
        "points_behind_noise",
    ),
    Fault(
        "flow-map-with-the-variance",
        "Gaussian.flow",
        "(variances_s / variances_t).sqrt() * z",
        "(variances_s / variances_t) * z",
        "The oracle itself without a square root: the ratio of variances carries the deviation.",
        "tests/exact/test_exact_flow.py",
        "flow_solves_the_equation",
    ),
]

TIMES = [
    Fault(
        "a-time-beyond-the-horizon",
        "SDE.exact_time",
        "wide.clamp(max=self.horizon)",
        "wide",
        "A horizon rounded up is taken at its word: the signal of rectified flow is gone there, and f is infinite.",
        "tests/sde/test_rounded_times.py",
        "any_dtype_is_the_horizon",
    ),
    Fault(
        "a-state-of-16-bits",
        "state_dtype",
        "torch.finfo(dtype).bits < 32",
        "False",
        "The rounding of a bfloat16 state adds up over the steps: 0.3 to 0.7 at 400 calls.",
        "tests/sampling/test_sixteen_bits.py",
        "grow_with_the_calls or 16_bits_in_float32",
    ),
]

FAULTS = [*SCHEDULES, *KERNELS, *PARAMETERIZATIONS, *EXACT_LAWS, *TIMES]
