"""Checkpoints and snapshots on disk, verified before they are read."""
