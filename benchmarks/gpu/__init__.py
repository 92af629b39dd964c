"""One command that measures on a GPU what this project claims of it: `python -m benchmarks.gpu`."""
