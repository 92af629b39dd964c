"""Other people's deterministic samplers behind one call, through their public interfaces alone."""
