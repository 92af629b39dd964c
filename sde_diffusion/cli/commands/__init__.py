"""The commands, one a file: a docstring whose first line is its help, a dataclass `Settings`, a function `run`."""
