"""Checks of numerical methods that anybody may run on their own: orders, statelessness, exactness, edges."""

from solvers.testing.engines import check_engine
from solvers.testing.fields import check_field
from solvers.testing.methods import check_method
from solvers.testing.report import Finding, Report

__all__ = ["Finding", "Report", "check_engine", "check_field", "check_method"]
