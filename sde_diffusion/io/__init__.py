"""Files, locks and terminals: what every layer that writes or shows progress needs."""
