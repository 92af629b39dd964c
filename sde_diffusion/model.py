r"""One noun for a diffusion model: the process, the denoiser, and what they need to know of the data.

    model = DiffusionModel.for_data(x)             # network and preconditioning from the shape of the data
    model.fit(x, steps=2000)                       # denoising score matching
    y = model.sample(16, nfe=20)                   # the default rule
    log_p = model.log_prob(x[:8])                  # with error bars

The process and the network live in standardised coordinates z = (x - shift)/scale of mean zero and variance one, see
`standardization`: samples are given back in the units of the data, and log-densities are those of the data.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from sde_diffusion import posteriors
from sde_diffusion.arrays import as_labels, as_table, as_tensor, class_names_of
from sde_diffusion.conditions import CONTEXT, ConditionColumns, check_context, check_taken, conditions
from sde_diffusion.data.moments import Moments
from sde_diffusion.data.standardised import standardised
from sde_diffusion.data.stream import StreamTable
from sde_diffusion.data.tables import Table
from sde_diffusion.denoisers import Conditioned, Denoiser, Preconditioned
from sde_diffusion.guidance import Guide, by_name
from sde_diffusion.io.finite import finite_rows
from sde_diffusion.likelihood import LogProb, log_likelihood
from sde_diffusion.likelihood import encode as encode_by_flow
from sde_diffusion.networks.choose import network_for
from sde_diffusion.objectives import DenoisingScoreMatching, EDMWeighting, LogNormalLevel
from sde_diffusion.parameterization import EDMPreconditioning, Parameterization
from sde_diffusion.sampling import default_solver, sample
from sde_diffusion.sampling.sampler import Sampler
from sde_diffusion.sde import VP, GaussianPrior, LinearSDE
from sde_diffusion.sharing import Card, write_pretrained
from sde_diffusion.sharing.hub import fetched
from sde_diffusion.sharing.run import configuration_of, read_model, recording, run_is_trained, seeded
from sde_diffusion.standardization import Standardization
from sde_diffusion.training.checkpoints.fingerprint import digest_of_data
from sde_diffusion.training.devices import device_of
from sde_diffusion.training.settings import TrainSettings
from solvers.integrate import state_dtype

CODE_STEPS = 100
"""Calls of the network for the latent code of a sample."""

_SETTINGS = {one.name for one in dataclasses.fields(TrainSettings)}


def default_objective() -> DenoisingScoreMatching:
    """The loss of EDM for data of unit variance, its noise levels a little higher and wider than the paper's.

    References:
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, table 1
    """
    return DenoisingScoreMatching(EDMWeighting(1.0), LogNormalLevel(-0.4, 1.4))


@dataclass(eq=False)
class DiffusionModel:
    """A process, a denoiser in standardised coordinates, and the facts of the data that belong to them.

    Attributes:
        sde: the forward process.
        denoiser: E[z_0 | z_t]; after `fit` the one with averaged weights, in eval mode.
        event_shape: the shape *E of one sample.
        standardization: the map between data and z.
        class_names: one name for each label that the network takes; None for an unconditional model.
        levels: how many values a coordinate of the data takes, such as 256; None for continuous data.
        data_digest: a hash of the data that the model was fitted to; None before.
        mean, std: of the data in the model's coordinates, 0 and 1 where they are standardised; the prior is matched to them.
        run: the configuration of the run that made it, as plain data.
        condition_columns: the numbers that the network takes as its condition, in the user's units; None without.
        trained: whether a training step has changed the weights; None where nobody knows, as for a network of one's own. A
            model that is known to be untrained says so, in a warning, when it is loaded or asked for anything.
    """

    sde: LinearSDE
    denoiser: Denoiser
    event_shape: tuple[int, ...]
    standardization: Standardization = field(default_factory=Standardization.identity)
    class_names: tuple[str, ...] | None = None
    levels: int | None = None
    data_digest: str | None = None
    mean: float = 0.0
    std: float = 1.0
    run: dict[str, Any] = field(default_factory=dict)
    trained: bool | None = None
    condition_columns: ConditionColumns | None = None

    @classmethod
    def for_data(
        cls,
        x: Any,
        labels: Any = None,
        sde: LinearSDE | None = None,
        *,
        condition: Any = None,
        condition_dropout: float | Mapping[str, float] = 0.1,
        network: nn.Module | None = None,
        parameterization: Parameterization | None = None,
        levels: int | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Self:
        """A model that is not yet fitted, for data like x (N, *E), read once: a tensor, an array, a `DataSource` or a `Dataset`.

        Args:
            labels: one for each sample, integers from 0 or strings: the network then takes them as `label=`. True for those
                of a source, or of a data set whose `classes` are their names.
            sde: the forward process, `VP()` by default.
            condition: numbers (N, K) that x is conditioned on, or columns by their names, see `conditions.columns.rows_of`:
                the network then takes them as `context=`. True for those of a source or a data set.
            condition_dropout: the share of samples trained without their condition, or shares by name; 0: never left out.
            network: any module called (z, c_time (B,), **condition) -> (B, *E), or a whole `Denoiser`; one that suits
                the shape by default, with `options` as arguments.
            parameterization: what the network's output means, EDM's preconditioning by default.
            levels: how many values a coordinate takes, for quantised data.
            seed: of the network's first weights.

        Raises TypeError or ValueError for data that cannot be learnt from, labels that do not fit, swapped arguments.
        """
        table, names = as_table(x), class_names_of(x) if labels is True else as_labels(labels)[1]
        _check_process(sde)
        shape, denoiser = table.event_shape, network
        columns = None if condition is None else ConditionColumns.of(x, condition, condition_dropout)
        if not isinstance(denoiser, Denoiser):
            classes = None if names is None else len(names)
            options = options if columns is None else {"context": columns.size, **options}
            backbone = network if network is not None else seeded(seed, lambda: network_for(shape, classes, **options))
            denoiser = Preconditioned(backbone, parameterization or EDMPreconditioning(1.0))
        standard = Standardization.of_moments(Moments.of_table(table))
        model = cls(sde or VP(), denoiser, shape, standard, names, levels, condition_columns=columns)
        model.trained = None if network is not None else False
        return model._checked()

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next((p.device for p in self.denoiser.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """In which numbers it computes."""
        return next((p.dtype for p in self.denoiser.parameters()), torch.float32)

    @property
    def state_dtype(self) -> torch.dtype:
        """In which numbers samples are made and data are scored: the network's, and float32 for one of 16 bits."""
        return state_dtype(self.dtype)

    @property
    def classes(self) -> int | None:
        """How many labels the network takes, or None."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def prior(self) -> GaussianPrior:
        """The distribution at the horizon, matched to the mean and the standard deviation of the data."""
        return self.sde.prior(self.mean, self.std**2)

    def to(self, device: torch.device | str) -> Self:
        """Move the network; the model itself."""
        self.denoiser.to(device)
        return self

    def fit(
        self,
        x: Any,
        labels: Any = None,
        *,
        condition: Any = None,
        folder: str | os.PathLike | None = None,
        settings: TrainSettings | None = None,
        objective: Any = None,
        **options: Any,
    ) -> Self:
        """Train on data x (N, *E) and take over the averaged weights; the model itself.

        x is a tensor, an array (`numpy.memmap` too), a `DataSource` or a `Dataset`. More than 2^24 numbers are read and
        standardised a batch at a time, and once before to digest them.

        Args:
            labels: one for each sample, for a model that was made for labels; True for those of a source or a data set.
            condition: a row of numbers for each sample, for a model that was made for them; True likewise.
            folder: a run's folder, with checkpoints; the same call goes on where it stopped.
            settings: all numbers of the training at once; or any of them by name, such as `steps=2000, batch_size=256`.
            objective: the loss, `default_objective()` unless given.
            options: those of `training.train`, such as `callbacks`, `device`, `label_dropout`, `augment`, `compute`.

        Raises TypeError or ValueError for data of another shape, labels that do not fit, names that nobody knows.
        """
        from sde_diffusion.training.fitting import fit_and_report

        if self.condition_columns is None and isinstance(condition, Mapping):  # arguments of a network of one's own
            for name in condition:
                check_taken(getattr(self.denoiser, "backbone", self.denoiser), str(name))
            options, condition = {"condition": condition, **options}, None
        table = self._training_table(x, labels, condition)
        chosen = {name: options.pop(name) for name in list(options) if name in _SETTINGS}
        if settings is not None and chosen:
            raise TypeError(f"give settings= or single settings such as {min(chosen)}=, not both")
        settings = settings or TrainSettings(**chosen)
        self._checked()
        if self.condition_columns is not None:
            options["dropout"] = {CONTEXT: self.condition_columns.dropped}
        loss = default_objective() if objective is None else objective
        self.data_digest = digest_of_data(table)
        if folder is not None:
            self.run = options.pop("config", None) or configuration_of(self, loss, settings, options.get("augment"))
            options |= recording(self, Path(folder), options.get("world"), options.pop("on_start", None))
        if not any(parameter.requires_grad for parameter in self.denoiser.parameters()):
            self.denoiser.requires_grad_(True)  # a loaded model is frozen
        options |= {"objective": loss, "folder": folder, "callbacks": options.pop("callbacks", ())}
        self.denoiser, last = fit_and_report(self.denoiser, self.sde, table, settings, **options)
        self.denoiser.eval()
        if last is None and folder is not None:  # it was finished already
            self.trained = run_is_trained(folder)
        elif last is not None and last.skipped < last.step:
            self.trained = True
        return self

    def save(self, folder: str | os.PathLike, card: Card | None = None) -> Path:
        """Write weights, description and a model card into a folder that must not exist or be empty; its path.

        Raises TypeError for parts that cannot be found again by name, OSError where it cannot be written.
        """
        return write_pretrained(Path(folder), self, card)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike,
        *,
        network: nn.Module | None = None,
        device: torch.device | str = "auto",
        revision: str | None = None,
        checkpoint: str | int | None = None,
    ) -> Self:
        """The model of a run's folder (its newest whole checkpoint), of `save`, of a diffusers pipeline, or on the Hub.

        `network` is that of a run whose own network no package holds; `checkpoint` is newest, best or a step of a run.
        Nothing in the folder is executed. Raises ValueError for a folder of another kind, one that is damaged, or whose parts
        do not belong together.
        """
        place, path = device_of(device), fetched(os.fspath(folder), revision)
        model = cls(**read_model(path, network, checkpoint)).to(place)
        model._warn_if_untrained()
        return model

    def sample(
        self,
        n: int,
        sampler: Sampler | str | None = None,
        *,
        nfe: int | None = None,
        steps: int | None = None,
        tol: float | None = None,
        seed: int = 0,
        first: int = 0,
        chunk: int | None = None,
        **condition: Any,
    ) -> Tensor:
        """n samples (n, *E) in the units of the data, on the model's device, in `state_dtype`.

        Args:
            sampler: one of `sde_diffusion.samplers`, or its name such as "dpmpp_2m"; the default rule unless given.
            nfe, steps, tol: one of them: calls of the network for each sample, steps, or a tolerance.
            seed, first: sample i of a seed is a function of (seed, first + i), whatever n.
            chunk: see `sampling.sample`.
            condition: `label=` a class (its number or its name), or one for each sample; `condition=` numbers for the columns
                of a model that was made for them, one row for all or one for each sample, see `ConditionColumns.rows`; other
                conditions that the network takes are tensors (n, ...), a row for each sample.

        Raises ValueError for a condition that the model does not know, or a sampler that cannot keep to the budget.
        """
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ValueError(f"sample(n, ...) takes the number of samples first, at least 1, got {n!r}")
        self._warn_if_untrained()
        reversal, solver = self.solver(sampler, nfe=nfe, steps=steps, tol=tol, **self.condition(n, condition))
        where = {"dtype": self.state_dtype, "device": self.device}
        z = sample(reversal, solver, (n, *self.event_shape), seed, first=first, chunk=chunk, **where)
        return self.standardization.from_standard(z)

    def solver(self, sampler: Sampler | str | None = None, *, nfe=None, steps=None, tol=None, **condition: Any):
        """(reversal, solver) in standardised coordinates, from the matched prior: the two halves of `sample`.

        `condition` is what `condition(n, ...)` gave.
        """
        from sde_diffusion.sampling import named

        chosen = named.default() if sampler is None else named.parse(sampler) if isinstance(sampler, str) else sampler
        denoiser = Conditioned(self.denoiser, **condition) if condition else self.denoiser
        reversal, solver = chosen.build(self.sde, denoiser, nfe=nfe, steps=steps, tol=tol, data_std=self.std)
        return reversal.with_prior(self.prior), solver

    def guided(self, guidance: str | Guide) -> Self:
        """The model under a guidance, such as "cfg(weight=3)" or a function of a denoiser: what it samples, scores and encodes.

        It has the same weights, and is neither fitted nor saved. Raises ValueError as `by_name` does.
        """
        guide = guidance if callable(guidance) else by_name(str(guidance), self)
        return dataclasses.replace(self, denoiser=guide(self.denoiser))

    posterior, corrected = posteriors.posterior, posteriors.corrected

    def log_prob(self, x: Any, tol: float = 1e-3, *, seed: int = 0, **condition: Any) -> LogProb:
        """log p(x) in nats for x (B, *E), with its error bars, see `likelihood.log_likelihood`.

        It is the density of the data, in their own units: that of z plus the log-determinant of the standardisation.
        `condition` is that of `sample`, with B in the place of n.
        """
        self._warn_if_untrained()
        z = self.to_standard(x).to(self.device)
        condition = self.condition(len(z), condition)
        denoiser = Conditioned(self.denoiser, **condition) if condition else self.denoiser
        found = log_likelihood(self.sde, denoiser, z, tol, prior=self.prior, data_std=self.std, seed=seed)
        return self.in_data_units(found)

    def _warn_if_untrained(self) -> None:
        """Always from this line, so that Python shows it once."""
        if self.trained is False:
            warnings.warn(
                "this model is untrained: no training step has changed its weights, and what it gives is not of the data; "
                "fit it first",
                stacklevel=1,
            )

    def in_data_units(self, found: LogProb) -> LogProb:
        """A log-density, or a bound of it, of z as that of x: the log-determinant is added."""
        return dataclasses.replace(found, value=found.value + self.standardization.log_det(self.event_shape))

    def encode(self, x: Any, nfe: int = CODE_STEPS, **condition: Any) -> Tensor:
        """The latent codes (B, *E) of x (B, *E) under the probability flow, standard normal under the model."""
        self._warn_if_untrained()
        z = self.to_standard(x).to(self.device)
        condition = self.condition(len(z), condition)
        denoiser = Conditioned(self.denoiser, **condition) if condition else self.denoiser
        reversal, solver = default_solver(self.sde, denoiser, nfe, self.std)
        with torch.no_grad():
            return finite_rows(encode_by_flow(reversal.with_prior(self.prior), solver, z), "codes")

    def condition(self, n: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the network takes for n samples, on its device: labels as integers, numbers as `context`; or ValueError."""
        return conditions(n, given, self.class_names, self.device, self.condition_columns, self.state_dtype)

    def digest_of(self, x: Any, labels: Any = None, condition: Any = None) -> str:
        """The digest that `fit` keeps as `data_digest`, of these data and conditions: equal for equal data in one order."""
        return digest_of_data(self._training_table(x, labels, condition))

    def _training_table(self, x: Any, labels: Any, condition: Any) -> Table:
        """Training data in the model's coordinates, with labels and conditions where it takes them."""
        from sde_diffusion.training.labels import conditioned_table, labelled_table

        table = conditioned_table(labelled_table(x, labels, self.class_names), x, condition, self.condition_columns)
        self._check_shape((1 if isinstance(table, StreamTable) else len(table), *table.event_shape))
        return standardised(table, self.standardization, self.state_dtype)

    def to_standard(self, x: Any) -> Tensor:
        """z (N, *E) of data x (N, *E), in `state_dtype`; TypeError or ValueError for other data."""
        rows = as_tensor(x)
        self._check_shape(tuple(rows.shape))
        return self.standardization.to_standard(rows).to(self.state_dtype)

    def _checked(self) -> Self:
        """The model; ValueError where the network, unless on the meta device, does not heed the numbers it is conditioned on."""
        if self.condition_columns is not None and self.device.type != "meta":
            check_context(self.denoiser, self.event_shape, self.condition_columns.size)
        return self

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape[1:] != tuple(self.event_shape):
            one = shape == tuple(self.event_shape)
            hint = "add the batch axis with x[None]" if one else "give data of the model's shape"
            raise ValueError(f"this model knows samples of shape {self.event_shape}, got {shape}; {hint}")


def _check_process(sde: Any) -> None:
    if sde is not None and not isinstance(sde, LinearSDE):
        raise TypeError(f"sde is a linear process such as VP(), got {type(sde).__name__}; pass network= by its name")


__all__ = ["DiffusionModel", "as_labels", "as_tensor", "default_objective"]
