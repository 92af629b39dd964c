"""The solvers from which tuning sets out, as tables in the chart of the default rule.

Any of them alone stalls now and then: the default rule; Adams-Bashforth 2 on a grid that has points to spare for low noise, the
better start for narrow modes; and UniPC's formulas on the cosine grid, the better start for data sets.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Reversal, noise_clock
from sde_diffusion.reversal.data_form import data_form
from sde_diffusion.reversal.grids import cosine
from sde_diffusion.sampling.default_ode import in_chart, shape
from sde_diffusion.sde.base import LinearSDE
from solvers.equations import Field
from solvers.grids import tapered
from solvers.integrate import FixedGrid
from solvers.methods.adams_bashforth import AdamsBashforth
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.table import Table, table_of, table_on


def initial_tables(sde: LinearSDE, form: Reversal, solver: FixedGrid, data_std: float) -> list[Table]:
    """The default rule's solver, the plainer one, and UniPC's formulas, each of as many calls as the first."""
    nfe = solver.steps
    return [
        table_on(solver, form.start, form.stop, nfe),
        adams_bashforth_table(form, nfe, data_std),
        unipc_table(sde, nfe, data_std),
    ]


def adams_bashforth_table(form: Reversal, nfe: int, data_std: float) -> Table:
    """Adams-Bashforth 2 on a tapered grid."""
    levels = tapered(0.8 * data_std, 2.25, 0.19)
    solver = FixedGrid(AdamsBashforth(2), nfe, in_chart(levels, shape(nfe).weight / data_std))
    return table_on(solver, form.start, form.stop, nfe)


def unipc_table(sde: LinearSDE, nfe: int, data_std: float) -> Table:
    """UniPC of two fields in the data form, on the cosine grid."""
    c = shape(nfe).weight / data_std
    solver = FixedGrid(PredictEvaluateCorrect(2), nfe, cosine(sde, noise_clock(sde), data_std))
    return table_in_chart(lambda denoiser: data_form(sde, denoiser), solver, sde, c)


def table_in_chart(form_of: Callable[[Denoiser], Reversal], solver: FixedGrid, sde: LinearSDE, c: float) -> Table:
    """The table, in the chart of weight c, of a solver of one call a step of another form of the flow."""

    def unit(t: float) -> float:
        return float(sde.alpha(t) + c * sde.sigma(t))

    def walk(field: Field, y: Tensor) -> Tensor:
        form = form_of(_Recast(field, c))
        return form.solve(solver, unit(sde.horizon) * y) / unit(sde.t_min)

    return table_of(walk, solver.steps)


class _Recast(Denoiser):
    """The denoiser whose field in the chart of weight c is given: x0_hat = y - u F."""

    def __init__(self, field: Field, c: float):
        super().__init__()
        self.field, self.c = field, c

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """At y = x/(alpha + c sigma), u = sigma/(alpha + c sigma)."""
        unit = kernel.alpha + self.c * kernel.sigma
        y, u = x_t / unit, kernel.sigma / unit
        return y - u * self.field(y, u)
