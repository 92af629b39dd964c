from . import data, metrics
from .denoisers import Conditioned, Denoiser, Preconditioned
from .exact import Empirical, ExactDenoiser, Gaussian, Mixture
from .kernel import Kernel
from .likelihood import (
    Chain,
    LogProb,
    continuous_bound,
    elbo,
    flow_log_prob,
    importance_weighted,
    log_likelihood,
    quantised,
)
from .model import DiffusionModel
from .networks import DiT, TimeMLP, UNet, cost
from .objectives import (
    ContinuousBound,
    DenoisingScoreMatching,
    DiscreteBound,
    EDMWeighting,
    Hybrid,
    ImplicitScoreMatching,
    LocalDenoising,
    LogNormalLevel,
    MinSNR,
    SlicedScoreMatching,
    simple,
    uniform_log_snr,
    uniform_time,
)
from .parameterization import Data, EDMPreconditioning, Noise, Parameterization, Score, Velocity
from .report.plots import plot_points, plot_samples
from .reversal import (
    Reversal,
    ancestral,
    ancestral_large,
    annealed_langevin,
    data_form,
    ddim,
    edm_churn,
    gaussian_form,
    in_log_snr,
    noise_form,
    predictor_corrector,
    probability_flow,
    reverse_sde,
    sigma_form,
    velocity_form,
)
from .sampling import (
    Adaptive,
    AdamsBashforth,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialEuler,
    FixedGrid,
    Heun,
    KeyedIncrements,
    Sampler,
    StochasticHeun,
    WienerTree,
    default_solver,
    default_stochastic_solver,
    sample,
    sample_chunks,
    samplers,
)
from .sde import DDPM, EDM, SDE, VE, VP, Brownian, Cosine, GaussianPrior, LinearSDE, Rectified, SubVP
from .sharing import from_diffusers, push_to_hub
from .standardization import Standardization
from .testing import check_denoiser, check_method, check_sampler, check_sde
from .training import (
    Callback,
    CallbackContext,
    Doubling,
    Every,
    TrainSettings,
    fit,
    reconstruct,
    train,
)
from .tuning import Tuned, TuneSettings, tune

__version__: str
