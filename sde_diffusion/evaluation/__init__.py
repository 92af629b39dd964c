"""How good samples are: metrics with intervals beside a real-data baseline, on a model's data or on an exact law.

compare(model, source, samplers, budgets)      distance to held-out data against cost, sampler by sampler
evaluate(model, source, sampler)               every metric of one sampler
compare_on_law(law, sde, samplers, budgets)    the samplers' own errors, where the denoiser is exact
Evaluator(source).scores(x)                    the default metrics of any samples
"""

from __future__ import annotations

from sde_diffusion.evaluation.comparison import Comparison, SamplerResult, Score
from sde_diffusion.evaluation.evaluator import Copying, Evaluator
from sde_diffusion.evaluation.generate import Generated, samples_of
from sde_diffusion.evaluation.metrics import EvaluationMetric, all_metrics, distance
from sde_diffusion.evaluation.metrics_report import MetricsReport
from sde_diffusion.evaluation.on_exact_law import ExactLawBenchmark, compare_on_law
from sde_diffusion.evaluation.on_model import FeatureSpace, Survey, compare, evaluate, evaluate_samples, survey

__all__ = [
    "Comparison",
    "Copying",
    "EvaluationMetric",
    "Evaluator",
    "ExactLawBenchmark",
    "FeatureSpace",
    "Generated",
    "MetricsReport",
    "SamplerResult",
    "Score",
    "Survey",
    "all_metrics",
    "compare",
    "compare_on_law",
    "distance",
    "evaluate",
    "evaluate_samples",
    "samples_of",
    "survey",
]
