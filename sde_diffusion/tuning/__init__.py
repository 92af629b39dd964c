"""Solvers tuned to one model: the search, its initial tables, and the tuned solver as a file."""
