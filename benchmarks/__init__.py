"""Benchmarks that run again: one module a question, its figures and its plot in `results/`."""
