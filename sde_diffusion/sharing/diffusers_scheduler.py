"""The samplers of this package as a scheduler of diffusers: `pipe.scheduler = SolverScheduler.like(pipe.scheduler)`.

A pipeline calls the network itself and hands each answer to `step`. The solver is asked what it wants to know next
(`sampling.stepwise`), so that there is one formula for each method, that of `solvers`. What a pipeline calls a sample is here
the network's input x/sqrt(alpha^2 + sigma^2) at the level that the solver asks about. Needs the package diffusers.

References:
    von Platen et al., Diffusers, 2022, https://github.com/huggingface/diffusers
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Self

import torch
from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sampling import named
from sde_diffusion.sampling.stepwise import ask
from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.sharing.chain import MEANINGS, chain_of, levels, timestep_of
from sde_diffusion.sharing.schedulers import check_chain
from solvers.elementwise import along, scale
from solvers.integrate import Solver, state_dtype
from solvers.stepwise import Oracle, Questions
from solvers.wiener import PathSpec, WienerPath

try:
    from diffusers.configuration_utils import ConfigMixin, register_to_config
    from diffusers.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput
except ImportError as error:
    raise ImportError(
        "this needs the package diffusers; install it with `pip install 'sde-diffusion[diffusers]'`"
    ) from error


class SolverScheduler(SchedulerMixin, ConfigMixin):
    """Any sampler of `sde_diffusion.samplers` on a fixed grid, or a tuned solver, in a pipeline of diffusers.

    `num_inference_steps` is the number of calls of the network, all included: `len(timesteps)` is never above it. The
    timesteps are real numbers, between the steps of the chain. Samples are not clipped.

    Args:
        num_train_timesteps, beta_start, beta_end, beta_schedule, trained_betas, rescale_betas_zero_snr, prediction_type:
            those of diffusers: the chain that the network was trained on, and what its output means.
        sampler: its name, as `samplers.parse` reads it: "default", "dpmpp_2m", "ddim(eta=1)", or the file of a tuned solver.
        data_std: the standard deviation of the data, for the default rules.
        tuned: a tuned solver as plain data; `sampler` puts it here, so that the configuration is all there is.

    Raises:
        ValueError: no chain, or a sampler that nobody knows.
    """

    order = 1

    @register_to_config
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float | None = None,
        beta_end: float | None = None,
        beta_schedule: str = "linear",
        trained_betas: Sequence[float] | None = None,
        rescale_betas_zero_snr: bool = False,
        prediction_type: str = "epsilon",
        sampler: str = "default",
        data_std: float = 1.0,
        tuned: dict[str, Any] | None = None,
    ) -> None:
        if prediction_type not in MEANINGS:
            raise ValueError(f"prediction_type is one of {', '.join(MEANINGS)}, got {prediction_type!r}; correct it")
        self._chain = chain_of({name: value for name, value in self.config.items() if value is not None})
        self._meaning = MEANINGS[prediction_type](1.0)
        self._sampler = named.parse(sampler) if tuned is None else Tuned.of_dict(tuned)
        if isinstance(self._sampler, Tuned):
            self.register_to_config(sampler="tuned", tuned=self._sampler.as_dict())
        self._timestep, self._levels = timestep_of(self._chain), torch.tensor(levels(self._chain), dtype=torch.float64)
        self.init_noise_sigma = 1.0
        self.num_inference_steps: int | None = None
        self.timesteps = torch.arange(self._chain.steps - 1, -1, -1, dtype=torch.float32)
        self._run: _Run | None = None

    @classmethod
    def like(cls, scheduler: Any, sampler: str = "default", data_std: float = 1.0) -> Self:
        """The scheduler of the same chain and the same meaning of the output as another one of diffusers, which stays as it is.

        Raises ValueError for one that is not of a chain, such as those of flow matching.
        """
        config = dict(scheduler.config)
        check_chain({"_class_name": type(scheduler).__name__, **config})
        own = cls._get_init_keys(cls) & config.keys() - {"sampler", "data_std", "tuned", "self"}
        return cls(**{name: config[name] for name in own}, sampler=sampler, data_std=data_std)

    def __len__(self) -> int:
        """The number of the chain's steps."""
        return self._chain.steps

    def set_timesteps(self, num_inference_steps: int, device: torch.device | str | None = None) -> None:
        """Lay out a sampling of so many calls of the network, and forget the one before.

        A pipeline begins with a call of the network at the noise itself. A sampler that asks about something else first, such as
        one that adds noise before, or a tuned solver that tells the network another level, leaves that call without use. It is one of
        the number, but for a tuned solver, which then makes one call more.

        Raises ValueError for a sampler that cannot keep to the number.
        """
        run = self._laid_out(num_inference_steps)
        if run.leads and not isinstance(self._sampler, Tuned):
            run = self._laid_out(num_inference_steps - 1)
        steps = [self._timestep(self._meaning.level(x, kernel).float()) for x, kernel in run.asked]
        self._run, self.num_inference_steps = run, num_inference_steps
        self.timesteps = torch.cat(steps[:1] * run.leads + steps).to(device)

    def _laid_out(self, calls: int) -> _Run:
        oracle, told = Oracle(), dict(self.config)
        return _Run(self._sampler.build(self._chain, oracle, nfe=calls, data_std=told["data_std"]), oracle)

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The sample itself: it is the network's input."""
        return sample

    def step(
        self,
        model_output: Tensor,
        timestep: Any,
        sample: Tensor,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: torch.Generator | list[torch.Generator] | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[Tensor]:
        """The next input of the network, or the finished sample, from the network's answer for `sample` at `timestep`.

        The state of the solver is kept here in float32 or float64; `sample` says its dtype and, at the first step, the noise
        (B, *E). A stochastic sampler draws one number from `generator` at its first step, and its noise from that.

        Raises ValueError for a step out of turn, a sample that was changed between the steps, and an eta.
        """
        if eta:
            raise ValueError(f"the sampler has its own noise, got eta={eta}; write sampler='ddim(eta={eta})'")
        if self._run is None:
            raise ValueError("step comes after set_timesteps; call set_timesteps(20) first")
        index = self._run.taken
        if index >= len(self.timesteps) or float(timestep) != float(self.timesteps[index]):
            due = "none" if index >= len(self.timesteps) else f"{float(self.timesteps[index]):g}"
            raise ValueError(
                f"the step that is due is {due}, got {float(timestep):g}; take all timesteps in their order, from the first"
            )
        x, kernel = self._run.question(sample, generator)
        found = self._run.advance(self._meaning.to_denoised(model_output.to(x.dtype), x, kernel))
        if not self._run.done:
            found = self._meaning.precondition(*self._run.due).to(sample.dtype)
        self._run.given = found
        return SchedulerOutput(prev_sample=found) if return_dict else (found,)

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """alpha x_0 + sigma noise at timesteps () or (B,), real numbers from 0."""
        return self._kernel(timesteps).perturb(original_samples, noise)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """v = alpha noise - sigma x_0 at timesteps () or (B,)."""
        kernel = self._kernel(timesteps)
        return along(kernel.alpha, noise) * noise - along(kernel.sigma, sample) * sample

    def _kernel(self, timesteps: Tensor) -> Kernel:
        """The channel of real timesteps: log(sigma/alpha) is linear between the steps, as `ChainTimestep` has it."""
        k = torch.as_tensor(timesteps, dtype=torch.float64)
        low = k.floor().long().clamp(0, self._chain.steps - 2)
        table = self._levels.to(k.device)
        angle = torch.atan(torch.lerp(table[low], table[low + 1], k - low).exp())
        return Kernel(angle.cos(), angle.sin())


class _Run:
    """One sampling: the questions of a solver, and what was answered.

    Attributes:
        asked: the questions from x = 1 when every answer is zero, whose levels are those of any sampling.
        leads: whether the first question is about something else than the noise at the horizon.
        taken: how many steps were taken.
        due: the question whose answer comes next, (x_t, kernel).
        given: what the last step gave.
        done: whether that is the sample.
    """

    def __init__(self, built: tuple[Reversal, Solver], oracle: Oracle) -> None:
        self._built, self._oracle = built, oracle
        self.asked = list(self._rehearsed())
        x, kernel = self.asked[0]
        self.leads = not torch.allclose(scale(1 / kernel.scale, x), torch.ones_like(x), rtol=1e-5)
        self.taken, self.done = 0, False
        self._questions: Questions[Tensor] | None = None
        self.due: Any = None
        self.given: Tensor | None = None

    def question(self, sample: Tensor, generator: Any) -> tuple[Tensor, Kernel]:
        """What the network was asked; ValueError unless it was about what was given before."""
        if self._questions is None:
            x = sample.to(state_dtype(sample.dtype))
            self._questions = ask(self._built, self._oracle, x, self._path(x, generator))
            self.due = next(self._questions)
        elif sample is not self.given and not torch.equal(sample, self.given):  # pyright: ignore[reportArgumentType]
            raise ValueError(
                "the sample was changed between two steps, and a solver goes on from its own; leave it, or call set_timesteps"
            )
        return self.due

    def advance(self, x0: Tensor) -> Tensor:
        """Go on to the next question with E[x_0 | x_t]; the sample where there is none. A leading answer is of no use."""
        assert self._questions is not None
        self.taken += 1
        if self.taken > self.leads:
            try:
                self.due = self._questions.send(x0)
            except StopIteration as end:
                self.done = True
                return end.value
        return x0

    def _rehearsed(self) -> Iterator[tuple[Any, ...]]:
        x = torch.ones(1, 1, dtype=torch.float64)
        questions, answer = ask(self._built, self._oracle, x, self._path(x, torch.Generator())), None
        with suppress(StopIteration):
            while True:
                yield questions.send(answer)
                answer = torch.zeros_like(x)

    def _path(self, x: Tensor, generator: Any) -> WienerPath | None:
        """The noise of a stochastic equation: keyed by a number of the generator, or by one of each sample's own."""
        reversal, solver = self._built
        if not reversal.equation.stochastic:
            return None
        if isinstance(generator, list):
            seed, indices = 0, torch.cat([_number(one) for one in generator])
        else:
            seed, indices = int(_number(generator)), torch.arange(len(x))
        spec = PathSpec(seed, indices.to(x.device), tuple(x.shape[1:]), reversal.start, reversal.stop, x.dtype)
        return solver.noise(spec)


def _number(generator: torch.Generator | None) -> Tensor:
    """A random number, int64 (1,), from a generator on any device or from torch's own."""
    device = "cpu" if generator is None else generator.device
    return torch.randint(2**62, (1,), generator=generator, device=device).cpu()
