"""All seeded faults, from the solvers up."""

from __future__ import annotations

from tests.mutations import (
    in_conditions,
    in_data,
    in_files,
    in_guidance,
    in_jobs,
    in_kit,
    in_likelihood,
    in_metrics,
    in_networks,
    in_noise,
    in_observers,
    in_pictures,
    in_processes,
    in_reversals,
    in_solvers,
    in_stochastic_methods,
    in_streams,
    in_tables,
    in_training,
    in_tuning,
)

FAULTS = [
    *in_solvers.FAULTS,
    *in_stochastic_methods.FAULTS,
    *in_noise.FAULTS,
    *in_processes.FAULTS,
    *in_reversals.FAULTS,
    *in_training.FAULTS,
    *in_observers.FAULTS,
    *in_tuning.FAULTS,
    *in_data.FAULTS,
    *in_pictures.FAULTS,
    *in_streams.FAULTS,
    *in_tables.FAULTS,
    *in_conditions.FAULTS,
    *in_jobs.FAULTS,
    *in_files.FAULTS,
    *in_guidance.FAULTS,
    *in_kit.FAULTS,
    *in_likelihood.FAULTS,
    *in_metrics.FAULTS,
    *in_networks.FAULTS,
]
