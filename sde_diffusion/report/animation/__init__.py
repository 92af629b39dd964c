"""Animations of the forward and the reverse process."""
