from . import (
    data as data,
    metrics as metrics,
)
from .denoisers import (
    Conditioned as Conditioned,
    Denoiser as Denoiser,
    Preconditioned as Preconditioned,
)
from .exact import (
    Empirical as Empirical,
    ExactDenoiser as ExactDenoiser,
    Gaussian as Gaussian,
    Mixture as Mixture,
)
from .kernel import Kernel as Kernel
from .likelihood import (
    Chain as Chain,
    LogProb as LogProb,
    continuous_bound as continuous_bound,
    elbo as elbo,
    flow_log_prob as flow_log_prob,
    importance_weighted as importance_weighted,
    log_likelihood as log_likelihood,
    quantised as quantised,
)
from .model import DiffusionModel as DiffusionModel
from .networks import (
    DiT as DiT,
    TimeMLP as TimeMLP,
    UNet as UNet,
    cost as cost,
)
from .objectives import (
    ContinuousBound as ContinuousBound,
    DenoisingScoreMatching as DenoisingScoreMatching,
    DiscreteBound as DiscreteBound,
    EDMWeighting as EDMWeighting,
    Hybrid as Hybrid,
    ImplicitScoreMatching as ImplicitScoreMatching,
    LocalDenoising as LocalDenoising,
    LogNormalLevel as LogNormalLevel,
    MinSNR as MinSNR,
    SlicedScoreMatching as SlicedScoreMatching,
    simple as simple,
    uniform_log_snr as uniform_log_snr,
    uniform_time as uniform_time,
)
from .parameterization import (
    Data as Data,
    EDMPreconditioning as EDMPreconditioning,
    Noise as Noise,
    Parameterization as Parameterization,
    Score as Score,
    Velocity as Velocity,
)
from .report.plots import (
    plot_points as plot_points,
    plot_samples as plot_samples,
)
from .reversal import (
    Reversal as Reversal,
    ancestral as ancestral,
    ancestral_large as ancestral_large,
    annealed_langevin as annealed_langevin,
    data_form as data_form,
    ddim as ddim,
    edm_churn as edm_churn,
    gaussian_form as gaussian_form,
    in_log_snr as in_log_snr,
    noise_form as noise_form,
    predictor_corrector as predictor_corrector,
    probability_flow as probability_flow,
    reverse_sde as reverse_sde,
    sigma_form as sigma_form,
    velocity_form as velocity_form,
)
from .sampling import (
    Adaptive as Adaptive,
    AdamsBashforth as AdamsBashforth,
    Euler as Euler,
    EulerMaruyama as EulerMaruyama,
    ExponentialAdams as ExponentialAdams,
    ExponentialEuler as ExponentialEuler,
    FixedGrid as FixedGrid,
    Heun as Heun,
    KeyedIncrements as KeyedIncrements,
    Sampler as Sampler,
    StochasticHeun as StochasticHeun,
    WienerTree as WienerTree,
    default_solver as default_solver,
    default_stochastic_solver as default_stochastic_solver,
    sample as sample,
    sample_chunks as sample_chunks,
    samplers as samplers,
)
from .sde import (
    DDPM as DDPM,
    EDM as EDM,
    SDE as SDE,
    VE as VE,
    VP as VP,
    Brownian as Brownian,
    Cosine as Cosine,
    GaussianPrior as GaussianPrior,
    LinearSDE as LinearSDE,
    Rectified as Rectified,
    SubVP as SubVP,
)
from .sharing import push_to_hub as push_to_hub
from .standardization import Standardization as Standardization
from .testing import (
    check_denoiser as check_denoiser,
    check_method as check_method,
    check_sampler as check_sampler,
    check_sde as check_sde,
)
from .training import (
    Callback as Callback,
    CallbackContext as CallbackContext,
    Doubling as Doubling,
    Every as Every,
    TrainSettings as TrainSettings,
    fit as fit,
    reconstruct as reconstruct,
    train as train,
)
from .tuning import (
    Tuned as Tuned,
    TuneSettings as TuneSettings,
    tune as tune,
)

__version__: str
