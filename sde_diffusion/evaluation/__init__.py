"""How good samples are: metrics with intervals beside a real-data baseline, on a model's data or on an exact law."""
