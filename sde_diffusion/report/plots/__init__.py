"""Plots: each function takes plain tensors or numbers, writes a PNG and returns its path."""
